"""Half sets of images that hold nothing but noise: what their FSC shows, and what it would show were they not apart.

    python benchmarks/pure_noise.py docs/pictures/pure_noise.png

Three curves on the same images: the gold-standard FSC of two halves, reconstructed apart and then laid on each other;
the FSC of two halves that shared their reference, as the folds of a run without half sets do; and, as a control that
the halves find a signal where there is one, the gold-standard FSC of images of a molecule.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.evaluation.fsc import fsc, spherical_mask
from napari_cryospin.io.mrc import read_map
from napari_cryospin.particles import Particles
from napari_cryospin.physics.map_crop import fourier_crop_map
from napari_cryospin.runs.results import Results
from napari_cryospin.settings import PRESETS, Settings
from napari_cryospin.simulation.images import Projections, SimulationSettings, draw_ctf, draw_rotations, noise_images

BOX, PIXEL_SIZE = 48, 4.0


def make_particles(count: int, seed: int, density: torch.Tensor | None = None) -> Particles:
    """Particles in memory: white noise of unit variance, and the projections of a map where one is given."""
    simulation = SimulationSettings(count=count, seed=seed)
    poses, filters, noise = np.random.default_rng(seed).spawn(3)
    ctf, rotations = draw_ctf(simulation, filters, None), draw_rotations(simulation, poses)
    images = noise_images(count, BOX, 1.0, noise, coloured=False)
    if density is not None:
        signal = Projections(density, PIXEL_SIZE)(rotations, np.zeros((count, 2)), ctf)
        images = images + signal * (0.1 / float(signal.var())) ** 0.5  # SNR 0.1
    stack = images.numpy()
    return Particles(
        stacks=(Path("memory.mrcs"),),
        stack_index=np.zeros(count, np.int32),
        slice_index=np.arange(count),
        box_sizes=np.full(count, BOX, np.int32),
        pixel_sizes=np.full(count, PIXEL_SIZE),
        contrast=np.ones(count, np.float32),
        ctf=ctf,
        rotations=None,
        shifts=None,
        half_sets=None,
        optics_groups=np.zeros(count, np.int32),
        source=Path("memory.star"),
        open_stack=lambda path: stack,
    )


def settings_for(epochs: int, seed: int, *, half_sets: bool) -> Settings:
    """The quick preset, centred, with the switch half-way: on noise nothing would ever advise it."""
    quick = PRESETS["quick"]
    return dataclasses.replace(
        quick,
        encoder=dataclasses.replace(quick.encoder, shifts=False),
        schedule=dataclasses.replace(
            quick.schedule, epochs=epochs, decoding_epochs=None, switch=epochs // 2, batch_size=200
        ),
        preparation=dataclasses.replace(quick.preparation, half_sets=half_sets),
        machine=dataclasses.replace(quick.machine, device="cpu", seed=seed),
    )


def reconstruct(particles: Particles, settings: Settings) -> Reconstruction:
    """A whole run, without anybody who watches."""
    reconstruction = Reconstruction(particles, settings)
    while not reconstruction.finished:
        reconstruction.advance()
    return reconstruction


def shared_reference(particles: Particles, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and FSC of the two folds of a run without half sets, which share the reference."""
    fit = reconstruct(particles, settings).fits[0]
    first, second = (part.numpy() for part in fit.volume.fold_maps())
    n = len(first)
    curve = fsc(first, second, fit.images.extent / n, spherical_mask(n, 0.44 * n, 0.06 * n))
    return curve.frequency, curve.values


def draw(path: Path, apart: list[Results], shared: tuple[np.ndarray, np.ndarray], molecule: Results | None) -> None:
    """The figure."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    for number, results in enumerate(apart):
        curves = results.fsc
        label = "noise, halves apart: masked, corrected" if number == 0 else None
        axes.plot(curves["frequency"], curves["corrected"], color="tab:blue", alpha=0.8, label=label)
        label = "noise, halves apart: unmasked" if number == 0 else None
        axes.plot(curves["frequency"], curves["unmasked"], color="tab:cyan", lw=0.8, label=label)
    axes.plot(*shared, color="tab:red", label="noise, reference shared")
    if molecule is not None:
        curves = molecule.fsc
        axes.plot(curves["frequency"], curves["corrected"], color="tab:green", label="a molecule, halves apart")
    axes.axhline(0.143, color="0.6", lw=0.8, ls="--", label="0.143")
    axes.set(xlabel="spatial frequency (1/A)", ylabel="Fourier shell correlation", ylim=(-0.15, 1.05))
    axes.set_xlim(0, apart[0].fsc["frequency"][-1])
    above = axes.secondary_xaxis("top")
    above.set_xticks([1 / d for d in (100, 40, 20, 14, 10, 8)], ["100", "40", "20", "14", "10", "8"])
    above.set_xlabel("resolution (A)")
    figure.legend(fontsize="small", loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="figure to write")
    parser.add_argument("--molecule", type=Path, help="map of a molecule (.mrc), for the control")
    parser.add_argument("--count", type=int, default=2000, help="images in all")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    choice = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    apart = []
    for seed in range(choice.seeds):
        particles = make_particles(choice.count, seed)
        apart.append(reconstruct(particles, settings_for(choice.epochs, seed, half_sets=True)).results())
        print(f"seed {seed}: unmasked", apart[-1].fsc["unmasked"].round(2).tolist())
        print(f"seed {seed}: corrected", apart[-1].fsc["corrected"].round(2).tolist(), *apart[-1].notes, flush=True)
    shared = shared_reference(particles, settings_for(choice.epochs, seed, half_sets=False))
    print("shared reference", shared[1].round(2).tolist(), flush=True)
    molecule = None
    if choice.molecule is not None:
        density = fourier_crop_map(torch.from_numpy(read_map(choice.molecule)[0]), BOX)
        particles = make_particles(choice.count, 0, density)
        molecule = reconstruct(particles, settings_for(choice.epochs, 0, half_sets=True)).results()
        print("molecule", molecule.resolution, molecule.fsc["corrected"].round(2).tolist(), *molecule.notes)
    draw(choice.out, apart, shared, molecule)


if __name__ == "__main__":
    main()
