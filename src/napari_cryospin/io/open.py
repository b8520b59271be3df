"""Opening of particle files of any format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cryospin.advice import Advice
from napari_cryospin.io import cryodrgn
from napari_cryospin.io.class_averages import refuse_class_averages
from napari_cryospin.io.cryosparc import read as cryosparc
from napari_cryospin.io.cryosparc.group import group_files
from napari_cryospin.io.ctf_limits import ctf_notes
from napari_cryospin.io.files import check_is_file
from napari_cryospin.io.foreign import first_bytes, known_kind
from napari_cryospin.io.formats import PARTICLE_FORMATS
from napari_cryospin.io.located import SAME_SIZE, PixelSizeMissingError, check_pixel_sizes, locate_images
from napari_cryospin.io.mrc import mrc_header, open_stack, stack_header
from napari_cryospin.io.star import particles as star
from napari_cryospin.io.star.text import Share, ignored
from napari_cryospin.particles import Particles


def open_particles(
    path: Path | str,
    *,
    data_dir: Path | None = None,
    passthrough: Sequence[Path] = (),
    ctf: Path | None = None,
    poses: Path | None = None,
    pixel_size: float | None = None,
    require_stacks: bool = True,
    progress: Share = ignored,
) -> Particles:
    """Open particles of any format.

    Parameters
    ----------
    path
        Particle file: .star (RELION), .cs or .csg (cryoSPARC), .mrcs or .mrc (a bare stack).
    data_dir
        A further folder to look for stacks in.
    passthrough
        cryoSPARC files with further fields, joined by uid. A .csg file names the files of its group itself.
    ctf, poses
        Pickles of cryoDRGN with CTF parameters and poses, for a bare stack or in place of those in `path`.
    pixel_size
        Pixel size in A: of a bare stack, whose header often has a wrong one, or of a file that states none. A file that
        states another is refused.
    require_stacks
        Raise an error if a stack is missing. Otherwise the particles can be inspected, but images of missing stacks
        cannot be read.
    progress
        Called now and then with the share of a STAR file that has been read, 0 to 1.

    Raises
    ------
    FileNotFoundError, ValueError
        The particles cannot be read. The message names file, row, field, what was found and what was expected;
        that of a `MissingStacksError` lists all missing stacks.
    """
    path = check_is_file(path)
    if data_dir is not None and not Path(data_dir).is_dir():
        raise FileNotFoundError(Advice(f"{data_dir}: no such folder", "data_dir"))
    suffix = path.suffix.lower()
    if suffix not in PARTICLE_FORMATS:
        raise ValueError(_unknown_type(path))
    kind = PARTICLE_FORMATS[suffix]
    if passthrough and not kind.takes_passthrough:
        raise ValueError(f"{path}: passthrough files go with a .cs or .csg file only")
    if suffix == ".csg":
        path, further = group_files(path)
        passthrough = (*further, *passthrough)
    given = Given(
        data_dir=data_dir,
        passthrough=tuple(map(Path, passthrough)),
        ctf=ctf,
        poses=poses,
        pixel_size=pixel_size,
    )
    particles = READERS[suffix](path, given, require_stacks, progress)
    if ctf is not None:
        particles = _with_ctf(particles, ctf)
    if poses is not None:
        particles = _with_poses(particles, poses)
    return dataclasses.replace(particles, opened_with=dataclasses.asdict(given))


def open_same_images(path: Path | str, other: Particles, **options: Any) -> Particles:
    """Open particles whose images other particles have too, and with them the pixel size that the file may not say.

    Parameters
    ----------
    path
        As in `open_particles`.
    other
        Particles that are open.
    **options
        As in `open_particles`.
    """
    try:
        return open_particles(path, **options)
    except PixelSizeMissingError:
        if np.ptp(other.pixel_sizes) > 0:  # Which of them is whose, the file does not say.
            raise
        return open_particles(path, pixel_size=float(other.pixel_sizes[0]), **options)


def _unknown_type(path: Path) -> str:
    """Say that a file has no suffix of a particle file, and what it is where that can be told."""
    said = f"{path}: found a file of type {path.suffix.lower()!r}, expected one of {', '.join(PARTICLE_FORMATS)}"
    kind = known_kind(first_bytes(path))
    return said if kind is None else ": ".join(filter(None, (f"{said}; this is {kind.what}", kind.way_out)))


@dataclass(frozen=True, kw_only=True)
class Given:
    """Arguments of `open_particles` beside the particle file; see there."""

    data_dir: Path | None
    passthrough: tuple[Path, ...]
    ctf: Path | None
    poses: Path | None
    pixel_size: float | None


def _read_star(path: Path, given: Given, require_stacks: bool, progress: Share) -> Particles:
    return star.read_star_particles(
        path, given.data_dir, pixel_size=given.pixel_size, require_stacks=require_stacks, progress=progress
    )


def _read_cryosparc(path: Path, given: Given, require_stacks: bool, progress: Share) -> Particles:
    return cryosparc.read_cryosparc_particles(
        path, given.data_dir, given.passthrough, pixel_size=given.pixel_size, require_stacks=require_stacks
    )


def _read_stack(path: Path, given: Given, require_stacks: bool, progress: Share) -> Particles:
    """Read a stack of images alone. The pixel size is an argument, or comes from the CTF parameters of cryoDRGN."""
    count, box, _ = stack_header(path)
    refuse_class_averages(path)
    if count == box and path.suffix.lower() == ".mrc" and mrc_header(path).is_volume:
        found = "a volume (a cube, in its header space group 1)"
        raise ValueError(f"{path}: found {found}, expected a stack of images; name it .mrcs if it is one")
    slices = np.arange(count)
    located = locate_images([str(path.absolute())], np.zeros(count, np.int32), slices, source=path)
    notes: list[str] = []
    if given.pixel_size is None:
        if given.ctf is None:
            raise PixelSizeMissingError(f"{path}: a bare stack says no pixel size")
        pixel_sizes = cryodrgn.read_ctf(given.ctf, count)[1] / box
    else:
        pixel_sizes = check_pixel_sizes(np.full(count, float(given.pixel_size)), path, "pixel size")
        stored = mrc_header(path).voxel_size[0]
        if abs(stored - given.pixel_size) > SAME_SIZE * given.pixel_size:
            notes.append(f"the stack's header says {stored:g} A a pixel; {given.pixel_size:g} A is used")
    if given.ctf is None:
        notes.append(Advice("CTF is off: a bare stack says nothing of it", "ctf"))
    return Particles(
        **vars(located),
        pixel_sizes=pixel_sizes,
        contrast=np.ones(count, dtype=np.float32),
        ctf=None,
        rotations=None,
        shifts=None,
        half_sets=None,
        optics_groups=np.zeros(count, dtype=np.int32),
        source=path,
        notes=tuple(notes),
        open_stack=open_stack,
    )


READERS: dict[str, Callable[[Path, Given, bool, Share], Particles]] = {
    ".star": _read_star,
    ".cs": _read_cryosparc,
    ".csg": _read_cryosparc,  # `open_particles` passes the .cs file that the group names.
    ".mrcs": _read_stack,
    ".mrc": _read_stack,
}
"""Suffix, as in `PARTICLE_FORMATS` -> function that reads the file.

It takes the path, the arguments beside it, `require_stacks` and `progress`; see `open_particles`.
"""


def _with_ctf(particles: Particles, path: Path) -> Particles:
    """Return the particles with the CTF of a cryoDRGN pickle, whose boxes must have the same side in A."""
    parameters, sides = cryodrgn.read_ctf(path, len(particles))
    expected = particles.box_sizes * particles.pixel_sizes
    differs = (expected > 0) & (np.abs(sides - expected) > SAME_SIZE * expected)
    if differs.any():
        row = int(differs.argmax())
        found = f"box times pixel size of {sides[row]:g} A"
        raise ValueError(f"{path}: row {row + 1}: found {found}, expected {expected[row]:g} A as in {particles.source}")
    kept = tuple(note for note in particles.notes if not note.startswith("CTF is off"))
    notes = (*kept, f"CTF parameters are those of {path}", *ctf_notes(vars(parameters)))
    return dataclasses.replace(particles, ctf=parameters, notes=notes)


def _with_poses(particles: Particles, path: Path) -> Particles:
    """Return the particles with the poses of a cryoDRGN pickle."""
    rotations, fractions = cryodrgn.read_poses(path, len(particles))
    sides = particles.box_sizes * particles.pixel_sizes
    shifts = None if fractions is None else fractions * sides[:, None]
    notes = (*particles.notes, f"poses are those of {path}")
    return dataclasses.replace(particles, rotations=rotations, shifts=shifts, notes=notes)
