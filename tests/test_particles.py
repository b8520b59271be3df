"""Particles: selection and reading of images."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import napari_cryospin.particles
from napari_cryospin.io.mrc import open_stack
from napari_cryospin.particles import CtfParameters, Particles, no_images
from support.stacks import write_stack

COUNT = 8


@pytest.fixture
def stored() -> np.ndarray:
    """`(2, 5, 16, 16)` images of two stacks."""
    return np.random.default_rng(0).normal(size=(2, 5, 16, 16)).astype(np.float32)


@pytest.fixture
def particles(tmp_path: Path, stored: np.ndarray) -> Particles:
    paths = tuple(tmp_path / name for name in ("a.mrcs", "b.mrcs"))
    for path, images in zip(paths, stored, strict=True):
        write_stack(path, images, 2.0)
    rng = np.random.default_rng(1)
    ctf = {name: rng.normal(size=COUNT) for name in CtfParameters.__dataclass_fields__}
    return Particles(
        stacks=paths,
        stack_index=np.array([0, 1, 0, 1, 1, 0, 0, 1], np.int32),
        slice_index=np.array([4, 0, 1, 3, 2, 0, 2, 4]),
        box_sizes=np.full(COUNT, 16, np.int32),
        pixel_sizes=np.full(COUNT, 2.0),
        contrast=np.ones(COUNT, np.float32),
        ctf=CtfParameters(**ctf),
        rotations=rng.normal(size=(COUNT, 3, 3)),
        shifts=rng.normal(size=(COUNT, 2)),
        half_sets=np.array([1, 2] * 4, np.int8),
        optics_groups=np.zeros(COUNT, np.int32),
        source=tmp_path / "a.star",
        table=np.arange(COUNT) * 10,
        open_stack=open_stack,
    )


@pytest.mark.parametrize("mapped", [1, 2, 32])
def test_images_come_in_the_order_asked_for(
    particles: Particles, stored: np.ndarray, mapped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(napari_cryospin.particles, "MAPPED", mapped)
    indices = [7, 0, 3, 3, 5, 1]
    images = particles.read_images(indices)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(
        images, stored[particles.stack_index[indices], particles.slice_index[indices]], strict=True
    )


def test_images_are_no_views_of_the_file(particles: Particles, stored: np.ndarray) -> None:
    particles.read_images([0])[:] = 0
    np.testing.assert_array_equal(particles.read_images([0])[0], stored[0, 4])


def test_contrast(particles: Particles) -> None:
    dark = particles.with_contrast(-1)
    np.testing.assert_array_equal(dark.read_images([0, 1]), -particles.read_images([0, 1]))
    np.testing.assert_array_equal(dark.with_contrast(-1).contrast, particles.contrast)


def test_select(particles: Particles) -> None:
    rows = np.array([6, 1, 2])
    chosen = particles.select(rows)
    assert len(chosen) == 3
    for name in ("stack_index", "slice_index", "rotations", "shifts", "half_sets", "table", "contrast"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(particles, name)[rows], err_msg=name)
    for name in CtfParameters.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(chosen.ctf, name), getattr(particles.ctf, name)[rows], err_msg=name)
    np.testing.assert_array_equal(chosen.read_images([2, 0]), particles.read_images([2, 6]))
    assert chosen.stacks == particles.stacks


def test_select_without_ctf_and_poses(particles: Particles) -> None:
    bare = dataclasses.replace(particles, ctf=None, rotations=None, shifts=None, half_sets=None, table=None)
    chosen = bare.select(np.arange(COUNT) < 3)
    assert len(chosen) == 3
    assert chosen.ctf is None
    assert chosen.rotations is None


@pytest.mark.parametrize(
    ("value", "found"), [(3.0, "all pixels are 3"), (np.nan, "no numbers"), (np.inf, "no numbers")]
)
def test_useless_images_are_named(particles: Particles, stored: np.ndarray, value: float, found: str) -> None:
    stored[1, 2] = np.where(np.arange(16) > 4, value, value if value == 3 else 0)
    write_stack(particles.stacks[1], stored[1], 2.0)
    particles.read_images([0, 1, 3])
    with pytest.raises(ValueError, match=rf"b.mrcs: image 3 \(particle 5\): .*{found}"):
        particles.read_images([0, 4])


def test_mixed_boxes_are_refused(particles: Particles) -> None:
    mixed = dataclasses.replace(particles, box_sizes=np.array([16, 32] * 4, np.int32))
    with pytest.raises(ValueError, match=r"a.star: boxes of 16, 32 px; expected one box"):
        mixed.read_images([0, 1])


def test_particles_without_images(particles: Particles) -> None:
    with pytest.raises(ValueError, match="without a way to read images"):
        dataclasses.replace(particles, open_stack=no_images).read_images([0])
