"""Runs of version 0.1, finished or not, are exported for every program."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.exporters.table import EXPORTERS, export_run
from napari_cryospin.io.open import open_particles
from support.version_0_1 import without_results

OF_RESULTS = ("maps", "emdb")
"""Exports of maps that are made when a run ends."""


@pytest.mark.parametrize("to", EXPORTERS)
@pytest.mark.parametrize("name", ["run", "halves"])
def test_a_finished_run_is_exported_for_every_program(old_run, tmp_path, name, to):
    if (name, to) == ("run", "emdb"):
        pytest.skip("a deposition needs half maps")
    out = tmp_path / f"out{EXPORTERS[to].suffix}"
    written = export_run(old_run(name), to, out).paths
    assert written
    assert all(path.stat().st_size > 0 for path in written)


@pytest.mark.parametrize("to", [name for name in EXPORTERS if name not in OF_RESULTS])
def test_a_run_that_goes_on_is_exported_from_its_history(old_run, tmp_path, to):
    out = tmp_path / f"out{EXPORTERS[to].suffix}"
    assert export_run(without_results(old_run("run")), to, out).paths


def test_poses_are_those_of_the_results(old_run, tmp_path):
    folder = old_run("halves")
    export_run(folder, "relion", tmp_path / "out.star", Selection(expression="half_set == 2 and max_probability > 0"))
    found, known = open_particles(tmp_path / "out.star"), open_results(folder).record
    np.testing.assert_allclose(found.rotations, known.of_half(2).rotations, atol=1e-5)
    live = open_results(without_results(folder))
    assert live.live
    assert live.epoch == 8
    np.testing.assert_array_equal(live.record.rows, known.rows)
