"""Images for the eye: what is said is what was done to them."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_cryospin.physics import fourier
from napari_cryospin.views.gallery import gallery_images

ROWS = [3, 0]


@pytest.fixture(scope="module")
def simulated(make_phantom, simulate):
    return simulate(make_phantom(32), count=5, snr=1.0, seed=5)


def spectrum(images, points):
    return fourier.to_half_plane(torch.from_numpy(images), points).numpy()


def test_raw_images_are_those_of_the_file_but_for_their_grey_scale(simulated):
    found = gallery_images(simulated.particles, ROWS)
    assert found.raw.shape == found.low_passed.shape == found.phase_flipped.shape == (2, 32, 32)
    assert found.pixel_size == 3
    for picture, row in zip(found.raw, ROWS, strict=True):
        scale, offset = np.polyfit(simulated.images[row].ravel(), picture.ravel(), 1)
        assert scale > 0
        np.testing.assert_allclose(picture, simulated.images[row] * scale + offset, atol=1e-4)


def test_low_pass_and_phases(simulated):
    found = gallery_images(simulated.particles, ROWS, resolution=16.0)  # 6 of 16 shells
    points = fourier.half_plane(32)
    radius = points.double().norm(dim=-1).numpy()
    raw, low, flipped = (spectrum(part, points) for part in (found.raw, found.low_passed, found.phase_flipped))
    np.testing.assert_allclose(low[:, radius <= 6], raw[:, radius <= 6], atol=1e-3)
    assert abs(low[:, radius >= 8]).max() < 1e-3
    sign = flipped[:, radius <= 6] / low[:, radius <= 6]
    np.testing.assert_allclose(abs(sign.real), 1, atol=1e-3)
    assert (sign.real < 0).any()
    assert (sign.real > 0).any()


def test_what_has_no_ctf_or_was_flipped_before_stays(simulated):
    for changes in ({"ctf": None}, {"phase_flipped": True}, {"ctf_premultiplied": True}):
        found = gallery_images(dataclasses.replace(simulated.particles, **changes), ROWS)
        np.testing.assert_allclose(found.phase_flipped, found.low_passed, atol=1e-5)


def test_boxes_that_differ_are_brought_to_one(simulated, make_phantom, simulate):
    small = simulate(make_phantom(24), count=2, snr=1.0, seed=6).images
    stacks = [simulated.images, small]
    particles = dataclasses.replace(
        simulated.particles,
        stacks=tuple(type(simulated.particles.stacks[0])(f"{k}.mrcs") for k in range(2)),
        stack_index=np.array([0, 0, 0, 0, 1], np.int32),
        slice_index=np.array([0, 1, 2, 3, 1]),
        box_sizes=np.array([32, 32, 32, 32, 24], np.int32),
        pixel_sizes=np.array([3.0, 3, 3, 3, 4]),
        open_stack=lambda path: stacks[int(path.stem)],
    )
    found = gallery_images(particles, [4, 1])
    assert found.raw.shape == (2, 24, 24)
    assert np.corrcoef(found.raw[0].ravel(), small[1].ravel())[0, 1] > 0.85  # but for the corners of the spectrum


def test_an_image_that_cannot_be_used_is_blank(simulated):
    images = simulated.images.copy()
    images[3] = np.nan
    found = gallery_images(dataclasses.replace(simulated.particles, open_stack=lambda path: images), ROWS)
    assert not found.raw[0].any()
    # Sums of an image depend in the last digit on where it lies in memory.
    np.testing.assert_allclose(found.raw[1], gallery_images(simulated.particles, ROWS).raw[1], atol=1e-5)
