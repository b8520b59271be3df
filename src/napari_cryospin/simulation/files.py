"""Files of simulated particles, with their true poses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import torch
from numpy.typing import NDArray

from napari_cryospin.advice import Advice
from napari_cryospin.io.ctf_limits import check_ctf
from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.located import PixelSizeMissingError
from napari_cryospin.io.mrc import mrc_header, read_map
from napari_cryospin.io.npz import open_npz
from napari_cryospin.io.open import open_particles
from napari_cryospin.io.star.particles import ANGLES, ORIGINS_ANGST, write_particles
from napari_cryospin.io.star.table import read_star
from napari_cryospin.listing import shortened
from napari_cryospin.particles import CTF_PARAMETERS, CtfParameters, Particles
from napari_cryospin.physics.map_crop import fourier_crop_map
from napari_cryospin.simulation.images import Projections, SimulationSettings, draw_ctf, draw_rotations, noise_images

PIXELS_AT_A_TIME = 2**22
"""Number of pixels of the images that are simulated at a time: 16 MiB of float32. Chosen by hand."""
SIMULATED_SUFFIXES = (".mrcs", ".star", "_truth.star")
"""Ends of the names of the stack, of the particles, and of the particles with their true poses."""


@dataclass(frozen=True)
class SimulatedFiles:
    """Files that `write_simulation` wrote."""

    stack: Path
    """Images, `.mrcs`."""
    particles: Path
    """Particles without poses, `.star`."""
    truth: Path
    """Particles with their true poses, `.star`."""
    pixel_size: float
    """Pixel size of the images, Angstrom."""
    noise_variance: float
    """Variance of the noise in a pixel; 0: no noise."""


def write_simulation(
    source: Path | str | NDArray[Any],
    out: Path | str,
    settings: SimulationSettings | None = None,
    *,
    pixel_size: float | None = None,
) -> SimulatedFiles:
    """Simulate particles from a map, and write OUT.mrcs, OUT.star (without poses) and OUT_truth.star.

    Parameters
    ----------
    source : path or ndarray
        MRC file, or an `(n, n, n)` map `[z, y, x]`, with positive protein and background 0.
    out : path
        Path of the files without suffix.
    settings : SimulationSettings, optional
        Settings of the simulation. Default: those of `SimulationSettings()`.
    pixel_size : float, optional
        Pixel size of the map, Angstrom. Default: that in the header of the file.

    Raises
    ------
    FileNotFoundError, ValueError
        A file cannot be read, the map is not a cube with an even number of pixels, is smaller than the box or has no
        pixel size, or a table of the settings has the wrong form.
    """
    settings, out = settings or SimulationSettings(), Path(out)
    density, pixel_size = _map_at_box(source, pixel_size, settings.box)
    poses, filters, noise = np.random.default_rng(settings.seed).spawn(3)
    table = None if settings.orientation_table is None else _read_orientations(settings.orientation_table)
    rotations = draw_rotations(settings, poses, table)
    shifts = poses.normal(0, settings.shift_sd, (settings.count, 2))
    ctf = draw_ctf(settings, filters, None if settings.ctf_table is None else _read_ctf_table(settings.ctf_table))
    stack, star, truth = (out.with_name(out.name + suffix) for suffix in SIMULATED_SUFFIXES)
    projections = Projections(density, pixel_size)
    with atomic_write(stack) as part:
        variance = _write_clean(part, projections, pixel_size, rotations, shifts, ctf)
        noise_variance = 0.0 if settings.snr is None else variance / settings.snr
        if noise_variance > 0:
            _add_noise(part, noise_variance, noise, coloured=settings.noise == "coloured")
    _write_stars(star, truth, stack, projections.box, pixel_size, rotations, shifts, ctf)
    return SimulatedFiles(stack, star, truth, pixel_size, noise_variance)


def _map_at_box(
    source: Path | str | NDArray[Any], pixel_size: float | None, box: int | None
) -> tuple[torch.Tensor, float]:
    """Return the map, Fourier-cropped to the box, and its pixel size there (A)."""
    name = "map"
    if isinstance(source, str | Path):
        name = str(source)
        density, header = read_map(source)
        pixel_size = header if pixel_size is None else pixel_size
    else:
        density = np.asarray(source, dtype=np.float32)
    n = density.shape[-1]
    if density.shape != (n, n, n) or n % 2:
        raise ValueError(f"{name}: shape {density.shape}; expected a cube with an even number of pixels")
    if not pixel_size or not 0 < pixel_size < np.inf:
        raise ValueError(f"{name}: pixel size {pixel_size}; expected Angstrom above 0")
    if box is not None and box > n:
        raise ValueError(f"{name}: box of {n} px; expected at least the {box} px to simulate")
    box = n if box is None else box
    return fourier_crop_map(torch.from_numpy(density), box), pixel_size * n / box


def _read_ctf_table(path: Path) -> NDArray[np.float64]:
    """Read the last seven of nine columns: defocus u, v and angle, voltage, Cs, amplitude contrast, phase; `(k, 7)`."""
    try:
        with open_npz(path) as file:
            table = file["ctf"]
    except ValueError as error:
        raise ValueError(f"{path}: no CTF table; expected .npz with `ctf` (n, 9)") from error
    if table.dtype.kind not in "fiu" or table.ndim != 2 or table.shape[1] != 9 or not len(table):
        raise ValueError(
            f"{path}: `ctf` is {shortened(table.dtype)}, shape {table.shape}; expected numbers (n, 9), n > 0"
        )
    table = table[:, 2:].astype(np.float64)
    check_ctf(dict(zip(CTF_PARAMETERS, table.T, strict=False)), path)
    return table


def _read_orientations(path: Path) -> NDArray[np.float64]:
    """Read the rotations of particles, `(k, 3, 3)`; their stacks may be missing."""
    try:
        rotations = open_particles(path, require_stacks=False).rotations
    except PixelSizeMissingError:  # Angles need none.
        rotations = open_particles(path, pixel_size=1.0, require_stacks=False).rotations
    if rotations is None:
        found = f"{path}: has no poses; expected particles with angles to draw from"
        raise ValueError(Advice(found, "orientation_table"))
    return rotations


def _chunks(count: int, box: int) -> Iterator[slice]:
    step = max(1, PIXELS_AT_A_TIME // box**2)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _write_clean(
    path: Path,
    projections: Projections,
    pixel_size: float,
    rotations: NDArray[Any],
    shifts: NDArray[Any],
    ctf: CtfParameters | None,
) -> float:
    """Write the clean images, and return the variance of all their pixels.

    The images are written as bytes and not through a memory map, so that a full disk is an error that can be caught.
    """
    count, box = len(rotations), projections.box
    with mrcfile.new_mmap(path, (count, box, box), mrc_mode=2, overwrite=True) as mrc:
        mrc.set_image_stack()
        mrc.voxel_size = pixel_size
        mrc.header.label[0] = f"napari-cryospin {version('napari-cryospin')}, simulated".ljust(80)
        mrc.header.nlabl = 1
    total = square = 0.0
    with path.open("r+b") as file:
        file.seek(mrc_header(path).offset)
        for rows in _chunks(count, box):
            images = projections(rotations[rows], shifts[rows], None if ctf is None else ctf.select(np.r_[rows]))
            total, square = total + float(images.double().sum()), square + float(images.double().square().sum())
            file.write(images.numpy().astype("<f4").tobytes())
    pixels = count * box**2
    return square / pixels - (total / pixels) ** 2


def _add_noise(path: Path, variance: float, rng: np.random.Generator, *, coloured: bool) -> None:
    """Add noise to the images of a stack of 4-byte floats, in place."""
    header = mrc_header(path)
    count, box = header.shape[:2]
    with path.open("r+b") as file:
        for rows in _chunks(count, box):
            length, place = rows.stop - rows.start, header.offset + 4 * box**2 * rows.start
            file.seek(place)
            clean = np.frombuffer(file.read(4 * box**2 * length), dtype="<f4").reshape(length, box, box)
            noisy = clean + noise_images(length, box, variance, rng, coloured=coloured).numpy()
            file.seek(place)
            file.write(noisy.astype("<f4").tobytes())


def _write_stars(
    star: Path,
    truth: Path,
    stack: Path,
    box: int,
    pixel_size: float,
    rotations: NDArray[Any],
    shifts: NDArray[Any],
    ctf: CtfParameters | None,
) -> None:
    """Write the particles with their poses, and the same table without them."""
    n = len(rotations)
    particles = Particles(
        stacks=(stack,),
        stack_index=np.zeros(n, dtype=np.int32),
        slice_index=np.arange(n),
        box_sizes=np.full(n, box, dtype=np.int32),
        pixel_sizes=np.full(n, pixel_size),
        contrast=np.ones(n, dtype=np.float32),
        ctf=ctf,
        rotations=rotations,
        shifts=shifts,
        half_sets=None,
        optics_groups=np.zeros(n, dtype=np.int32),
        source=star,
    )
    write_particles(truth, particles, rotations, shifts)
    table = read_star(truth)
    dataclasses.replace(table, particles=table.particles.drop(columns=[*ANGLES, *ORIGINS_ANGST])).write(star)
