"""Figures over the sphere of view directions, against sums cell by cell."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.geometry.sphere_cells import pixel_of
from napari_cryospin.views import direction_figures
from napari_cryospin.views.direction_figures import LARGEST_ERROR, NO_FIGURE, mean_in_cells
from napari_cryospin.views.run_view import RunView
from support.records import epoch_record

SIDES = 12 * 2**2


@pytest.fixture
def rich_run(told_run):
    """The made-up run with a seventh epoch that knows entropies, junk and classes."""
    record = told_run.history(6).particles("best_head", "candidates", "candidate_shifts")
    rng = np.random.default_rng(1)
    number = 1 + (rng.random(400) < 0.3)
    rich = dataclasses.replace(
        record, entropy=rng.random(400) * 4, belongs=rng.random(400), class_number=number,
        class_probability=np.stack([number == 1, number == 2], -1),
    )  # fmt: skip
    maps = np.zeros((2, 16, 16, 16))
    told_run.write_history(epoch_record(7, rich, box=16, pixel_size=4.0, class_maps=tuple(maps)))
    return told_run, rich


def by_hand(values, cells):
    return np.array([values[cells == cell].mean() if (cells == cell).any() else np.nan for cell in range(SIDES)])


def test_means_are_those_of_each_cell(rich_run):
    folder, record = rich_run
    view, cells = RunView(folder), pixel_of(record.rotations[:, 2], 2)
    found = view.by_direction("uncertainty")
    np.testing.assert_allclose(found.values[0], np.exp(by_hand(record.entropy.astype(float), cells)))
    assert found.levels[0] == 1  # where one pose is likely, of whatever run
    np.testing.assert_allclose(view.by_direction("junk").values[0], 100 - 100 * by_hand(record.belongs, cells), 1e-5)
    classes = view.by_direction("class")
    assert classes.names == ("class 1", "class 2")
    np.testing.assert_allclose(classes.values.sum(0), np.where(np.isfinite(classes.values[0]), 100, np.nan))
    np.testing.assert_allclose(classes.values[1], 100 * by_hand(record.class_number == 2, cells))


@pytest.mark.parametrize("figure", ["class", "junk", "error"])
def test_a_run_without_it_says_so(told_run, figure):
    found = RunView(told_run).by_direction(figure)
    assert (found.values.size, found.note) == (0, NO_FIGURE[figure])


def test_unknown_values_do_not_count():
    values, cells = np.array([1.0, np.nan, 3.0, np.nan]), np.array([0, 0, 0, 1])
    np.testing.assert_array_equal(mean_in_cells(values, cells, 3), [2, np.nan, np.nan])


def test_errors_are_angles_to_the_truth_in_the_frame_of_the_run(rich_run, monkeypatch):
    folder, record = rich_run
    turn = Rotation.from_rotvec([0, 0, np.radians(20)]).as_matrix()
    monkeypatch.setattr(direction_figures, "true_rotations", lambda *_: record.rotations @ turn)
    arguments = (folder, 7, "error", 0, folder.path)
    found = direction_figures.direction_figure(*arguments)
    np.testing.assert_allclose(found.values[np.isfinite(found.values)], 20, atol=1e-3)
    assert found.levels == (0, LARGEST_ERROR)  # colours mean the same for every run
    monkeypatch.setattr(direction_figures, "true_rotations", lambda *_: None)
    assert direction_figures.direction_figure(*arguments).note
