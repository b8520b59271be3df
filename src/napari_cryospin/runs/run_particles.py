"""The particles of a run, opened again: the same ones, or none."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.open import open_particles
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import PARTICLES_MARK, RunFolder


def open_run_particles(folder: RunFolder, **options: Any) -> Particles:
    """Open the run's input, with `options` of `open_particles` beside the run's own.

    Raises
    ------
    FileNotFoundError, ValueError
        It cannot be read, or its rows are no longer those that the run began with.
    """
    source = folder.source
    particles = open_particles(source.particles, **source.options, **options)
    _check(folder, particles)
    return particles


def remember(folder: RunFolder, particles: Particles) -> None:
    """Note what the run's particles are; where that was done before, check it.

    Raises
    ------
    ValueError
        They are others than those that the run began with.
    """
    if (folder.path / PARTICLES_MARK).exists():
        _check(folder, particles)
        return
    with atomic_write(folder.path / PARTICLES_MARK) as part:
        part.write_text(json.dumps(_mark(particles), indent=2))


def particle_count(folder: RunFolder) -> int | None:
    """Return the number of particles in the run's input as the run began; None: it has not begun."""
    return _known(folder)[0] if (folder.path / PARTICLES_MARK).exists() else None


def _known(folder: RunFolder) -> tuple[int, str]:
    path = folder.path / PARTICLES_MARK
    try:
        known = json.loads(path.read_text())
        return int(known["count"]), str(known["images"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not written by a run, or damaged ({error})") from error


def _check(folder: RunFolder, particles: Particles) -> None:
    if not (folder.path / PARTICLES_MARK).exists():  # the run has not begun
        return
    count, images = _known(folder)
    now = _mark(particles)
    if now["count"] != count:
        found = f"found {now['count']:,} particles, expected {count:,}"
    elif now["images"] != images:
        found = "found other images, or the same in another order"
    else:
        return
    raise ValueError(
        f"{particles.source}: {found}: what was in it when the run in {folder.path} began, whose poses belong to those "
        "rows. Put the file back as it was, or start a new run"
    )


def _mark(particles: Particles) -> dict[str, Any]:
    """Name the stacks without their folders, which may move, and the image in its stack, row by row."""
    names = [hashlib.sha256(stack.name.encode()).digest()[:8] for stack in particles.stacks]
    stacks = np.frombuffer(b"".join(names), np.int64)[particles.stack_index]
    rows = np.stack((stacks, particles.slice_index.astype(np.int64)))
    return {"count": len(particles), "images": hashlib.sha256(rows.tobytes()).hexdigest()}
