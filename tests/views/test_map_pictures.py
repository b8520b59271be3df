"""What a thread makes ready of a map: numbers, surface, shading, maps of earlier epochs."""

import subprocess
import sys

import numpy as np
import pytest

from napari_cryospin.views import map_pictures
from napari_cryospin.views.isosurface import MapStatistics, isosurface, open_sky
from napari_cryospin.views.map_pictures import Look, MapReader, MapSource


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


def test_maps_of_a_few_epochs_are_kept_and_read_once(tmp_path, monkeypatch):
    paths = [tmp_path / f"epoch_{epoch:04d}.npz" for epoch in range(10)]
    for number, path in enumerate(paths):
        np.savez(path, map=np.full((8, 8, 8), number, np.float16), pixel_size=np.array(3.0), rotations=np.zeros(3))
    read = []
    original = map_pictures._read_epoch
    monkeypatch.setattr(map_pictures, "_read_epoch", lambda path: read.append(path) or original(path))
    reader = MapReader()
    for path in (*paths, *paths[-map_pictures.KEPT :], paths[0]):
        picture = reader.picture(MapSource(path=path, epoch=1), Look(), surface=False)
        assert picture.density.max() == int(path.stem[-4:])
        assert (picture.pixel_size, picture.halves, picture.mesh) == (3.0, 0, None)
    assert read == [*paths, paths[0]]


def test_epoch_with_halves_shows_either(tmp_path):
    halves = np.stack([np.full((8, 8, 8), value, np.float16) for value in (1, 2)])
    np.savez(tmp_path / "epoch.npz", map=halves[0], half_maps=halves, pixel_size=np.array(3.0))
    source = MapSource(path=tmp_path / "epoch.npz", epoch=1)
    for half in (1, 2):
        picture = MapReader().picture(source, Look(half=half), surface=True)
        assert picture.halves == 2
        np.testing.assert_array_equal(picture.density, half)


def test_panel_imports_no_torch():
    code = "import sys, napari_cryospin.widgets.live_map.panel; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
