"""Two runs are compared: what was done to one is found, agreement is measured, other particles are not compared."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.geometry.hand import HAND_FLIP, flip_hand
from napari_cryospin.io.mrc import read_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
from napari_cryospin.views.known_map import on_grid
from napari_cryospin.views.run_view import RunView
from support.records import particle_record

COUNT, BAND = 200, 10
ROTATIONS = Rotation.random(COUNT, random_state=0).as_matrix()


@pytest.fixture(scope="module")
def density():
    found, own = read_map(SAMPLE_MAPS["spliceosome"])
    return on_grid(found, own, 32, 2 * own, 40.0), 2 * own


def write_run(path, density, rotations, *, particles="p.star", rows=None, **status):
    settings = Settings()
    settings = dataclasses.replace(settings, machine=dataclasses.replace(settings.machine, seed=len(path.name)))
    folder = RunFolder.create(path, RunInput(particles=path.parent / particles), settings)
    record = particle_record(
        len(rotations), rotations=rotations, rows=np.arange(len(rotations)) if rows is None else rows
    )
    folder.write_snapshot(
        Snapshot(
            step=9, epoch=3, stage="auto-decoding", map=density[0], pixel_size=density[1], band=BAND,
            noise=np.ones((1, 16)), max_shift=0.0, particles=record, head_share=np.ones(2) / 2, loss=1.0,
            resolution=20.5, switch_ready=False, switch_reason="",
        )
    )  # fmt: skip
    for epoch in (1, 2, 3):
        folder.append_metrics({"epoch": epoch, "step": 3 * epoch, "elapsed": 60.0 * epoch, "epoch_ended": True,
                               "loss": 2.0 / epoch, "resolution": 60.0 / epoch})  # fmt: skip
    known = {"epoch": 3, "elapsed": 180.0, "resolution": 20.5, "verdict": "converged"}
    folder.write_status(Status(state="finished", stage="auto-decoding", step=9, **(known | status)))
    return RunView(folder)


def test_the_second_run_is_laid_upon_the_first_in_either_hand(tmp_path, density):
    other_hand = flip_hand(density[0]), density[1]
    wrong = ROTATIONS.copy()
    wrong[: COUNT // 4] = Rotation.random(COUNT // 4, random_state=5).as_matrix()
    first = write_run(tmp_path / "a", density, ROTATIONS)
    second = write_run(tmp_path / "bb", other_hand, HAND_FLIP @ wrong, verdict="not determined")
    found = first.compare(second)
    assert found.fitted.hand_flipped
    assert found.fitted.correlation > 0.95
    assert np.abs(found.difference).max() < found.level  # the same molecule
    assert found.poses.within_10 == pytest.approx(0.75, abs=0.02)
    assert "75 % of 200" in found.poses.words or "76 % of 200" in found.poses.words
    one, two = found.facts
    assert (one.name, one.seed, one.epochs, one.minutes, one.resolution) == ("a", 1, 3, 3.0, 20.5)
    assert (two.name, two.seed, two.verdict, two.resolution) == ("bb", 2, "not determined", None)
    assert one.pose_error is None
    np.testing.assert_allclose(found.curves["epoch"][0]["resolution"].y, [60, 30, 20])
    np.testing.assert_allclose(found.curves["time"][0]["loss"].x, [1, 2, 3])
    assert "resolution" not in found.curves["epoch"][1]  # It is told nowhere.


def test_what_one_map_has_more_is_the_difference(tmp_path, density):
    more = density[0].copy()
    place = np.unravel_index(more[8:24, 8:24, 8:24].argmin(), (16,) * 3)
    z, y, x = np.indices(more.shape) - 8
    blob = np.exp(-((z - place[0]) ** 2 + (y - place[1]) ** 2 + (x - place[2]) ** 2) / 6)
    first = write_run(tmp_path / "a", (more + 2 * more.max() * blob.astype(np.float32), density[1]), ROTATIONS)
    second = write_run(tmp_path / "b", (3 * density[0], density[1]), ROTATIONS)  # Strength is of no meaning.
    found = first.compare(second)
    peak = np.unravel_index(found.difference.argmax(), more.shape)
    np.testing.assert_allclose(peak, np.array(place) + 8, atol=1)
    assert found.difference.max() > found.level


def test_poses_of_other_particles_are_not_compared(tmp_path, density):
    first = write_run(tmp_path / "a", density, ROTATIONS)
    others = write_run(tmp_path / "b", density, ROTATIONS, particles="q.star")
    found = first.compare(others).poses
    assert found.within_10 is None
    assert "different files" in found.words
    few = write_run(tmp_path / "c", density, ROTATIONS, rows=np.arange(COUNT) + COUNT - 5)
    assert "share 5 particles" in first.compare(few).poses.words
    shifted = write_run(tmp_path / "d", density, ROTATIONS[::-1][:150], rows=np.arange(COUNT)[::-1][:150])
    found = first.compare(shifted).poses
    assert (found.particles, found.within_10) == (150, 1.0)  # by their rows


def test_poses_at_symmetric_places_are_told_apart_from_wrong_ones(tmp_path, density):
    axis = Rotation.random(random_state=8)
    third = (axis * Rotation.from_euler("z", 120, degrees=True) * axis.inv()).as_matrix()
    elsewhere = ROTATIONS.copy()
    elsewhere[COUNT // 5 : COUNT // 2] = elsewhere[COUNT // 5 : COUNT // 2] @ third
    elsewhere[: COUNT // 10] = Rotation.random(COUNT // 10, random_state=5).as_matrix()
    first, second = write_run(tmp_path / "a", density, ROTATIONS), write_run(tmp_path / "b", density, elsewhere)
    poses = first.compare(second).poses
    assert poses.within_10 == pytest.approx(0.6, abs=0.02)
    assert poses.within_10_turned == pytest.approx(0.9, abs=0.02)
    assert poses.turn_angles == (120,)
    assert poses.words.endswith("90 % but for common turns by 120°")
