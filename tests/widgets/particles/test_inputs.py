"""Which part each file plays that a user chose or dropped, and what a stack alone leads to."""

from pathlib import Path

import numpy as np
import pytest

from napari_cryospin.io.mrc import mrc_header, read_map
from napari_cryospin.particles import Particles
from napari_cryospin.runs.source import RunInput
from napari_cryospin.widgets.contributions.map_writer import write_map_layer
from napari_cryospin.widgets.particles.inputs import PixelSizeNeededError, open_source, source_of
from napari_cryospin.widgets.particles.stack_layer import LazyStack, add_stack_layer, stack_layer
from support.stacks import write_stack


def paths(*names):
    return [Path("/data") / name for name in names]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a.star",), {"particles": "a.star"}),
        (("a.mrcs", "a.star"), {"particles": "a.star", "data_dir": "."}),
        (("p_passthrough.cs", "p.cs"), {"particles": "p.cs", "passthrough": ("p_passthrough.cs",)}),
        (("p_passthrough.cs",), {"particles": "p_passthrough.cs"}),
        (("ctf.pkl", "a.mrcs", "pose.pkl"), {"particles": "a.mrcs", "ctf": "ctf.pkl", "poses": "pose.pkl"}),
    ],
)
def test_each_file_plays_its_part(names, expected):
    where = Path("/data")
    values = {
        name: tuple(where / one for one in value) if isinstance(value, tuple) else where / value
        for name, value in expected.items()
    }
    assert source_of(paths(*names)) == RunInput(**values)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.star", "b.star"), "found 2 particle files"),
        (("a.png",), r"a\.png: found a file of type '\.png', expected one of \.star"),
        (("weights.pkl", "a.mrcs"), 'weights.pkl: found a pickle, expected "ctf" or "pose"'),
        (("pose1.pkl", "pose2.pkl", "a.mrcs"), "found 2 files of one kind"),
        ((), "none: found 0 particle files"),
    ],
)
def test_what_does_not_fit_together_is_named(names, message):
    with pytest.raises(ValueError, match=message):
        source_of(paths(*names))


def test_a_stack_alone_asks_for_its_pixel_size(tmp_path):
    path = tmp_path / "stack.mrcs"
    write_stack(path, np.random.default_rng(0).normal(size=(5, 32, 32)), 2.0)
    with pytest.raises(PixelSizeNeededError) as caught:
        open_source(source_of([path]))
    assert caught.value.source.particles == path
    opened = open_source(RunInput(particles=path, pixel_size=1.5))
    assert opened.particles.pixel_sizes[0] == 1.5
    assert opened.particles.ctf is None


def test_a_star_file_without_a_pixel_size_asks_for_it(tiny_particles, tmp_path):
    text = tiny_particles.particles.read_text()
    path = tiny_particles.particles.with_name("no_size.star")
    path.write_text(text.replace("rlnImagePixelSize", "rlnMicrographPixelSize"))
    with pytest.raises(PixelSizeNeededError, match=r"no_size.star: no pixel size; give it in Å"):
        open_source(source_of([path]))
    assert open_source(RunInput(particles=path, pixel_size=1.5)).particles.pixel_sizes[0] == 1.5
    path.write_text(text.replace("loop_", "", 1))
    with pytest.raises(ValueError, match=r"no_size.star: line"):  # What else is wrong is said first.
        open_source(source_of([path]))


def test_true_poses_beside_the_particles_are_found(tiny_particles):
    opened = open_source(RunInput(particles=tiny_particles.particles))
    assert opened.truth == tiny_particles.truth


def test_a_layer_reads_only_what_is_looked_at(tiny_particles):
    particles = open_source(RunInput(particles=tiny_particles.particles)).particles
    stack = LazyStack(particles)
    assert stack.shape == (60, 32, 32)
    images = particles.read_images(np.arange(60))
    np.testing.assert_array_equal(stack[7], images[7])
    np.testing.assert_array_equal(stack[2:9:3, 4, :], images[2:9:3, 4, :])
    np.testing.assert_array_equal(stack[(5, slice(None), slice(3, 9))], images[5, :, 3:9])
    _, keywords, kind = stack_layer(particles)
    low, high = keywords["contrast_limits"]
    assert kind == "image"
    assert 0.95 < np.mean((images > low) & (images < high)) < 1
    assert set(keywords["units"]) == {"angstrom"}  # as the map's: napari warns where layers differ
    assert keywords["scale"][1] == pytest.approx(particles.pixel_sizes[0])


def test_a_map_is_written_with_its_pixel_size(tmp_path):
    density = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    for units, factor in ((("angstrom",) * 3, 1), (("nanometer",) * 3, 10), (("pixel",) * 3, 1)):
        path = str(tmp_path / f"{units[0]}.mrc")
        assert write_map_layer(path, density, {"scale": (1.25,) * 3, "units": units}) == [path]
        read, pixel_size = read_map(path)
        np.testing.assert_array_equal(read, density)
        assert pixel_size == pytest.approx(1.25 * factor)


@pytest.mark.parametrize(
    ("shape", "scale", "message"),
    [((8, 8), (1, 1), "expected three dimensions"), ((8, 8, 8), (1, 1, 2), "expected cubes")],
)
def test_what_is_no_map_is_not_written(tmp_path, shape, scale, message):
    with pytest.raises(ValueError, match=message):
        write_map_layer(str(tmp_path / "no.mrc"), np.zeros(shape), {"scale": scale, "units": None, "name": "photo"})
    assert not (tmp_path / "no.mrc").exists()


def test_napari_saves_a_layer_as_a_map(tmp_path, make_napari_viewer):
    viewer = make_napari_viewer()
    layer = viewer.add_image(np.ones((8, 8, 8), np.float32), scale=(3.0,) * 3)
    layer.save(str(tmp_path / "saved.mrc"), plugin="napari-cryospin")
    assert mrc_header(tmp_path / "saved.mrc").voxel_size[0] == pytest.approx(3.0)


def test_images_are_not_read_as_a_volume(make_napari_viewer, tiny_particles, monkeypatch):
    """Turning to 3D, as a map does, would have napari read the whole stack."""
    particles = open_source(RunInput(particles=tiny_particles.particles)).particles
    viewer, most = make_napari_viewer(), []
    read = Particles.read_images
    monkeypatch.setattr(Particles, "read_images", lambda one, rows: most.append(len(rows)) or read(one, rows))
    add_stack_layer(viewer, particles)
    (layer,) = viewer.layers
    most.clear()
    for shown in (True, False, True):  # as it is; hidden before; shown again while in 3D
        layer.visible = shown
        viewer.dims.ndisplay = 3
        layer.visible = True
        assert not layer.visible
        viewer.dims.ndisplay = 2
    layer.visible = True
    viewer.dims.set_current_step(0, 7)
    np.testing.assert_array_equal(layer._slice.image.raw, read(particles, [7])[0])
    assert set(most) == {1}
    viewer.layers.clear()
    viewer.dims.ndisplay = 3
    layer.visible = True
    assert layer.visible  # removed, it is nobody's business any more
