"""Which particles of the input a run left out because their images cannot be used."""

from __future__ import annotations

import csv
from collections.abc import Mapping

from napari_cryospin.io.files import atomic_write
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import LEFT_OUT_FILE, RunFolder


def write_left_out(folder: RunFolder, particles: Particles, faults: Mapping[int, str]) -> None:
    """Write a line for each particle that is left out: row and image from 1, its stack, and the reason.

    Parameters
    ----------
    folder
        Folder of the run.
    particles
        Its input.
    faults
        Row, from 0 -> what was found. Empty: no file is written.
    """
    if not faults:
        return
    with atomic_write(folder.path / LEFT_OUT_FILE) as part, part.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("row", "stack", "image", "found"))
        for row, found in sorted(faults.items()):
            stack = particles.stacks[particles.stack_index[row]]
            lines.writerow((row + 1, stack, particles.slice_index[row] + 1, found))


def left_out_rows(folder: RunFolder) -> list[int]:
    """Read the rows of the input, from 0, that the run left out."""
    path = folder.path / LEFT_OUT_FILE
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [int(line["row"]) - 1 for line in csv.DictReader(file)]
