"""One door for all particle files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_cryospin.io import star
from napari_cryospin.io.files import check_is_file
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
) -> Particles:
    path = check_is_file(path)
    return star.read_particles(path, data_dir, require_stacks=require_stacks)
