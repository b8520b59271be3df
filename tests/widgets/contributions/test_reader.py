"""Maps open in napari in Angstrom; stacks and other files are left to other readers."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from napari_cryospin.widgets.contributions.map_reader import map_layer, map_reader
from napari_cryospin.widgets.particles.samples import SAMPLES


def write_mrc(path, data, *, stack=False, pixel_size=2.5):
    with mrcfile.new(path) as file:
        file.set_data(data)
        file.voxel_size = pixel_size
        if stack:
            file.set_image_stack()
    return str(path)


@pytest.fixture
def density():
    return np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)


def test_map_opens_in_angstrom_with_contrast_limits(tmp_path, density):
    path = write_mrc(tmp_path / "some.map", density)
    ((data, keywords, kind),) = map_reader(path)(path)
    assert kind == "image"
    np.testing.assert_array_equal(data, density)
    assert keywords["name"] == "some"
    assert keywords["scale"] == (2.5, 2.5, 2.5)
    assert keywords["units"] == ("angstrom",) * 3
    low, high = keywords["contrast_limits"]
    assert low < keywords["iso_threshold"] < high


def test_several_maps_open_as_several_layers(tmp_path, density):
    paths = [write_mrc(tmp_path / name, density) for name in ("a.mrc", "b.mrc")]
    assert [keywords["name"] for _, keywords, _ in map_reader(paths)(paths)] == ["a", "b"]


def test_first_level_encloses_one_percent_of_the_grid_points(tmp_path):
    density = np.random.default_rng(1).permutation(20**3).reshape(20, 20, 20).astype(np.float32)
    _, keywords, _ = map_layer(Path(write_mrc(tmp_path / "ramp.mrc", density)))
    assert np.count_nonzero(density > keywords["iso_threshold"]) == 20**3 // 100


def test_empty_map_gets_valid_contrast_limits(tmp_path):
    _, keywords, _ = map_layer(Path(write_mrc(tmp_path / "empty.mrc", np.zeros((4, 4, 4), np.float32))))
    assert keywords["contrast_limits"] == (0, 1)


def test_map_without_pixel_size_is_drawn_in_pixels(tmp_path, density):
    _, keywords, _ = map_layer(Path(write_mrc(tmp_path / "unknown.mrc", density, pixel_size=0)))
    assert "scale" not in keywords


def test_cube_is_a_map_even_where_old_programs_say_images(tmp_path, density):
    assert map_reader(write_mrc(tmp_path / "old.mrc", density, stack=True)) is not None


def test_map_of_the_other_byte_order_is_a_map(tmp_path, density):
    assert map_reader(write_mrc(tmp_path / "big_endian.mrc", density.astype(">f4"))) is not None


@pytest.mark.parametrize("name", ["stack.mrc", "picture.mrc", "text.mrc", "empty.mrc", "cut.mrc", "absent.mrc"])
def test_what_is_no_map_is_left_to_other_readers(tmp_path, density, name):
    path = tmp_path / name
    if name == "stack.mrc":
        write_mrc(path, density[:5], stack=True)
    elif name == "picture.mrc":
        write_mrc(path, density[0])
    elif name == "text.mrc":
        path.write_text("no map " * 500)
    elif name == "cut.mrc":
        path.write_bytes(Path(write_mrc(tmp_path / "whole.mrc", density)).read_bytes()[:-4])
    elif name == "empty.mrc":
        path.touch()
    assert map_reader(str(path)) is None


def test_napari_opens_a_map(make_napari_viewer):
    viewer = make_napari_viewer()
    (opened,) = viewer.open(SAMPLES["spliceosome"].map, plugin="napari-cryospin")
    assert opened.data.shape == (64, 64, 64)
    np.testing.assert_allclose(opened.scale, 8.66, rtol=1e-5)
    assert str(opened.units[0]) == "angstrom"
