"""Run folders of version 0.1 are read as if they had been written today."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cryospin.runs.version_0_1 import NAMES_0_1


@pytest.mark.parametrize("name", ["run", "halves"])
def test_history_and_results_have_the_present_names(old_run, name):
    folder = old_run(name)
    paths = [(folder.history_paths()[8], folder.history(8).record().particles)]
    paths.append((folder.results_path / "particles.npz", folder.results_record().particles))
    for path, record in paths:
        with np.load(path) as file:
            assert "version" not in file.files
            for array, values in record.arrays.items():
                old = NAMES_0_1.get(array, array)
                if old in file.files:
                    np.testing.assert_array_equal(values, file[old], err_msg=array)
                else:
                    assert array == "half_sets"  # left out where there were none
                    assert not values.any()
        assert record.has_halves == (name == "halves")
    assert len(folder.history(8).maps()) == 1 + (name == "halves")
    assert folder.history(8).stage == "auto-decoding"


def test_snapshot(old_run):
    folder = old_run("run")
    snapshot = folder.newest_snapshot()
    with np.load(folder.path / "snapshots" / "000000032.npz") as file:
        np.testing.assert_array_equal(snapshot.particles.rows, file["indices"])
        np.testing.assert_array_equal(snapshot.particles.winner, file["winning_head"])
        np.testing.assert_array_equal(snapshot.map, file["map"])
    assert (snapshot.step, snapshot.epoch, snapshot.stage, snapshot.pixel_size) == (32, 8, "auto-decoding", 6.0)
