"""Opening of the particles of a run, with a check that they are those with which the run began."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_cryospin.io.files import MissingStacksError, atomic_write
from napari_cryospin.io.open import open_particles
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import PARTICLES_MARK, RunFolder
from napari_cryospin.runs.source import RunInput

MISSING_STACKS = "missing_stacks.txt"
"""File in a run's folder: the stacks that were not found when its particles were last opened in vain, one a line."""


def open_run_particles(folder: RunFolder, **options: Any) -> Particles:
    """Open the input of a run.

    Parameters
    ----------
    folder
        Folder of the run.
    **options
        Further options of `open_particles`, beside those of the run.

    Raises
    ------
    FileNotFoundError, ValueError
        The input cannot be read, or its rows are no longer those with which the run began.
    """
    particles = _open_input(folder, folder.source, **options)
    _check(folder, particles)
    return particles


def open_moved_particles(
    folder: RunFolder, particles: Path | None = None, data_dir: Path | None = None
) -> Particles | None:
    """Open the run's input where it is now, and note that place in the run's folder.

    Parameters
    ----------
    folder
        Folder of the run.
    particles, data_dir
        New places of the particles' file and of its image stacks; None: as before.

    Returns
    -------
    Particles or None
        The input; None: neither was moved, and nothing was opened.

    Raises
    ------
    FileNotFoundError, ValueError
        As `open_run_particles`.
    """
    if particles is None and data_dir is None:
        return None
    known = folder.source
    source = dataclasses.replace(known, particles=particles or known.particles, data_dir=data_dir or known.data_dir)
    opened = _open_input(folder, source)
    remember(folder, opened)
    folder.move_input(source)
    return opened


def _open_input(folder: RunFolder, source: RunInput, **options: Any) -> Particles:
    """Open particles; where many stacks are missing, the run's folder gets a list of them."""
    try:
        return open_particles(source.particles, **source.options, **options)
    except MissingStacksError as error:
        raise error.listed_in(folder.path / MISSING_STACKS) from error


def remember(folder: RunFolder, particles: Particles) -> None:
    """Store a mark of the run's particles in its folder, or compare them with the mark that is stored already.

    Raises
    ------
    ValueError
        The particles are not those with which the run began.
    """
    if (folder.path / PARTICLES_MARK).exists():
        _check(folder, particles)
        return
    with atomic_write(folder.path / PARTICLES_MARK) as part:
        part.write_text(json.dumps(_mark(particles), indent=2))


def particle_count(folder: RunFolder) -> int | None:
    """Return the number of particles in the run's input as the run began; None: it has not begun."""
    return int(_known(folder)["count"]) if (folder.path / PARTICLES_MARK).exists() else None


def _known(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / PARTICLES_MARK
    try:
        known = json.loads(path.read_text())
        return {"count": int(known["count"]), "images": str(known["images"]), "optics": known.get("optics")}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not written by a run, or damaged ({error})") from error


def _check(folder: RunFolder, particles: Particles) -> None:
    if not (folder.path / PARTICLES_MARK).exists():  # The run has not begun.
        return
    known, now = _known(folder), _mark(particles)
    if now["count"] != known["count"]:
        found = f"found {now['count']:,} particles, expected {known['count']:,}"
    elif now["images"] != known["images"]:
        found = "found other images, or the same in another order"
    elif known["optics"] not in (None, now["optics"]):  # Runs of earlier versions know no optics.
        found = "found other pixel sizes or CTF values"
    else:
        return
    raise ValueError(
        f"{particles.source}: {found}: what was in it when the run in {folder.path} began, whose poses belong to those "
        "rows. Put the file back as it was, or start a new run"
    )


def _mark(particles: Particles) -> dict[str, Any]:
    """Return the number of particles, a hash of each row's stack and position in it, and one of pixel sizes and CTF.

    Stacks count by their names without folders, because folders may be moved.
    """
    names = [hashlib.sha256(stack.name.encode()).digest()[:8] for stack in particles.stacks]
    stacks = np.frombuffer(b"".join(names), np.int64)[particles.stack_index]
    rows = np.stack((stacks, particles.slice_index.astype(np.int64)))
    optics = [particles.pixel_sizes]
    if particles.ctf is not None:
        optics += [getattr(particles.ctf, field.name) for field in dataclasses.fields(particles.ctf)]
    digest = hashlib.sha256(np.concatenate([np.asarray(each, np.float32) for each in optics]).tobytes())
    return {
        "count": len(particles),
        "images": hashlib.sha256(rows.tobytes()).hexdigest(),
        "optics": digest.hexdigest(),
    }
