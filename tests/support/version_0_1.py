"""Run folders that version 0.1 wrote, as they lie in tests/data: one without, one with half sets."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_cryospin.runs.folder import RunFolder

VERSION_0_1 = Path(__file__).parents[1] / "data" / "version_0_1"


@pytest.fixture
def old_run(tmp_path: Path) -> Callable[[str], RunFolder]:
    """`old_run("run")` or `old_run("halves")`: a copy of a finished run of version 0.1, whose input is found.

    30 simulated particles of 16 px, 2 heads, 8 epochs, the switch after the fourth. Kept are the history of epochs 4
    and 8 (8 alone with half sets), the last snapshot (not with half sets) and the results.
    """

    def copy(name: str) -> RunFolder:
        place = tmp_path / "version_0_1"
        if not place.exists():
            shutil.copytree(VERSION_0_1, place)
        folder = RunFolder(place / name)
        folder.move_input(dataclasses.replace(folder.source, particles=place / "particles.star"))
        return folder

    return copy


def without_results(folder: RunFolder) -> RunFolder:
    """The same run as if it were not over."""
    shutil.rmtree(folder.results_path)
    folder.results_path.mkdir()
    folder.write_status(dataclasses.replace(folder.read_status(), state="stopped"))
    return folder
