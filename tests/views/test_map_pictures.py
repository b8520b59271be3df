"""What a thread makes ready of a map: numbers, surface, shading, maps of earlier epochs."""

import subprocess
import sys

import numpy as np
import pytest

from napari_cryospin.runs.epoch_record import EpochFile
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from napari_cryospin.views import map_pictures
from napari_cryospin.views.isosurface import MapStatistics, isosurface, open_sky
from napari_cryospin.views.map_pictures import MapDisplay, MapReader, MapSource
from support.records import epoch_record


def distance(box, centre=None):
    grid = np.indices((box,) * 3)
    centre = np.full(3, box // 2) if centre is None else np.asarray(centre)
    return np.linalg.norm(grid - centre[:, None, None, None], axis=0)


def test_first_level_encloses_one_percent_of_the_voxels():
    ramp = np.random.default_rng(0).permutation(20**3).reshape((20,) * 3).astype(np.float32)
    statistics = MapStatistics.of(ramp)
    assert np.count_nonzero(ramp > statistics.start_level) == 20**3 // 100
    assert statistics.sigma(statistics.value(2.5)) == pytest.approx(2.5)


@pytest.mark.parametrize("box", [32, 96])
def test_surface_of_a_ball_is_a_sphere_that_is_lit(box):
    ball = (box / 4 - distance(box)).astype(np.float32)
    ball.flags.writeable = False  # as a snapshot's maps are
    mesh = isosurface(ball, 0.0)
    radii = np.linalg.norm(mesh.vertices - box // 2, axis=1)
    np.testing.assert_allclose(radii, box / 4, atol=0.05)
    assert mesh.brightness.min() >= 0
    assert mesh.brightness.max() <= 1
    lit = mesh.brightness[np.argmax(mesh.vertices @ (0.53, 0.74, -0.42))]
    assert lit > mesh.brightness.mean() + 0.1


def test_clefts_are_darker_than_tips():
    inside = (distance(64, (22, 32, 32)) < 11) | (distance(64, (42, 32, 32)) < 11)
    cleft, tip = open_sky(inside, np.array([[32, 37, 32], [53, 32, 32]], np.float32))
    assert tip > cleft + 0.2


@pytest.mark.parametrize("level", [-5.0, 5.0])
def test_level_beyond_the_map_gives_something_that_napari_can_hold(level):
    mesh = isosurface(np.random.default_rng(0).uniform(-1, 1, (8, 8, 8)).astype(np.float32), level)
    assert mesh.faces.shape == (1, 3)
    np.testing.assert_array_equal(mesh.vertices, 4)
    assert MapStatistics.of(np.zeros((8, 8, 8), np.float32)).deviation == 1


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", RunInput(particles=tmp_path / "p.star"), Settings())


def test_maps_of_a_few_epochs_are_kept_and_read_once(folder, monkeypatch):
    epochs = range(10)
    for epoch in epochs:
        folder.write_history(epoch_record(epoch, map=np.full((8, 8, 8), epoch), pixel_size=3.0))
    read = []
    original = EpochFile.maps
    monkeypatch.setattr(EpochFile, "maps", lambda file, number: read.append(file.epoch) or original(file, number))
    reader = MapReader()
    for epoch in (*epochs, *epochs[-map_pictures.EPOCHS_IN_MEMORY :], 0):
        picture = reader.picture(MapSource(folder=folder, epoch=epoch), MapDisplay(), surface=False)
        assert picture.density.max() == epoch
        assert (picture.pixel_size, picture.halves, picture.mesh) == (3.0, 0, None)
    assert read == [*epochs, 0]


def test_an_epoch_that_a_resumed_run_writes_anew_is_read_anew(folder):
    reader, source = MapReader(), MapSource(folder=folder, epoch=1)
    for value in (1, 2):
        folder.write_history(epoch_record(1, map=np.full((8, 8, 8), value)))
        assert reader.picture(source, MapDisplay(), surface=False).density.max() == value


def test_epoch_with_halves_shows_either(folder):
    halves = tuple(np.full((8, 8, 8), value) for value in (1, 2))
    folder.write_history(epoch_record(1, map=halves[0], half_maps=halves, pixel_size=3.0))
    for half in (1, 2):
        picture = MapReader().picture(MapSource(folder=folder, epoch=1), MapDisplay(half=half), surface=True)
        assert picture.halves == 2
        np.testing.assert_array_equal(picture.density, half)


def test_panel_imports_no_torch():
    code = "import sys, napari_cryospin.widgets.live_map.panel; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
