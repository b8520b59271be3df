"""Whether our symmetric maps are RELION's: axes, copies and weights, for one group of each kind.

    python benchmarks/symmetry_with_relion.py OUT

Chiral models of each group are simulated; `relion_reconstruct --sym` makes a map of the particles at their true poses,
and so does our volume step. The two are compared as they lie, within a sphere that holds the model. RELION has to be
installed (Debian: `apt install relion`).
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.settings import PRESETS
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings

BOX, PIXEL_SIZE = 64, 2.0
COUNT, SNR = 1500, 10.0
GROUPS = ("C1", "C3", "D7", "T", "O", "I1", "I2")


def model(name: str) -> NDArray[np.float32]:
    """Make a map of a few blobs of different weight and their copies under a group."""
    rng = np.random.default_rng(5)
    directions = rng.normal(size=(6, 3))
    centres = directions / np.linalg.norm(directions, axis=1)[:, None] * rng.uniform(15, 45, 6)[:, None]
    copies = (group_matrices(name) @ centres.T).transpose(0, 2, 1).reshape(-1, 3)
    weights = np.tile(rng.uniform(0.5, 1.5, 6), len(copies) // 6)
    line = (np.arange(BOX) - BOX // 2) * PIXEL_SIZE
    x, y, z = (np.exp(-((line - copies[:, axis, None]) ** 2) / (2 * 1.8**2)) for axis in range(3))
    return np.einsum("b,bx,by,bz->zyx", weights, x, y, z).astype(np.float32)


def ours(path: Path, name: str) -> NDArray[np.float32]:
    """Make our map of particles at the poses that their file has."""
    particles, quick = open_particles(path), PRESETS["quick"]
    settings = dataclasses.replace(quick, volume=dataclasses.replace(quick.volume, symmetry=name, scales="none"))
    (fit,) = Reconstruction(particles, settings).fits
    assert particles.rotations is not None
    assert particles.shifts is not None
    poses = (torch.from_numpy(part).float() for part in (particles.rotations, particles.shifts))
    fit.particles.record_poses(torch.arange(len(fit)), *poses)
    fit.band.now = fit.band.full
    WienerStep(fit).remake(fit.band.full)
    return (fit.volume.to_map(filtered=False) * fit.images.box_size).numpy()


def theirs(path: Path, name: str, out: Path) -> NDArray[np.float32]:
    """Make RELION's map of the same."""
    flags = ["--i", path, "--o", out, "--ctf", "--sym", name]
    subprocess.run(["relion_reconstruct", *map(str, flags)], check=True, capture_output=True, cwd=path.parent)
    return read_map(out)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    print("| group | least FSC to 80 % of Nyquist | to half of Nyquist |\n|---|---|---|")
    for name in GROUPS:
        settings = SimulationSettings(count=COUNT, snr=SNR, shift_sd=4.0)
        files = write_simulation(model(name), out / name, settings, pixel_size=PIXEL_SIZE)
        values = fsc(ours(files.truth, name), theirs(files.truth, name, out / f"{name}_relion.mrc"), PIXEL_SIZE).values
        print(
            f"| {name} | {values[1 : BOX * 2 // 5 + 1].min():.4f} | {values[1 : BOX // 4 + 1].min():.4f} |", flush=True
        )


if __name__ == "__main__":
    main()
