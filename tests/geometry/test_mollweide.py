"""The flat map of the sphere agrees with itself, with healpy, and with its inverse."""

import healpy
import numpy as np
import pytest

from napari_cryospin.geometry.mollweide import (
    flat_graticule,
    mollweide,
    mollweide_direction,
    mollweide_picture,
    mollweide_pixels,
)


def test_mollweide_and_its_picture_agree():
    nside = 8
    vectors = np.stack(healpy.pix2vec(nside, np.arange(12 * nside**2)), axis=-1)
    x, y = mollweide(vectors).T
    picture = mollweide_picture(np.arange(len(vectors), dtype=float), height=400)
    rows, columns = np.rint((y + 1) / 2 * 399).astype(int), np.rint((x + 2) / 4 * 799).astype(int)
    agree = picture[rows, columns] == np.arange(len(vectors))
    assert agree.mean() > 0.99  # pixels on the seam fall on either side


def test_mollweide_agrees_with_healpy():
    projector = healpy.projector.MollweideProj(flipconv="geo")
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.stack(projector.vec2xy(*vectors.T), axis=-1)
    np.testing.assert_allclose(mollweide(vectors), expected, atol=1e-4)


@pytest.mark.parametrize("z", [1.0, -1.0])
def test_mollweide_poles(z):
    np.testing.assert_allclose(mollweide(np.array([0.0, 0.0, z])), [0, z], atol=1e-3)


def test_place_and_direction_are_inverse():
    vectors = np.random.default_rng(2).normal(size=(200, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(mollweide_direction(mollweide(vectors)), vectors, atol=1e-4)
    assert np.isnan(mollweide_direction([1.9, 0.9])).all()


def test_test_vector_of_the_conventions():
    # rot 30, tilt 50 lies in pixel 114 of nside 8, and to the right of the centre.
    tilt, rot = np.radians([50, 30])
    x, y = mollweide([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)])
    assert min(x, y) > 0
    assert mollweide_pixels(8, 400)[round((y + 1) / 2 * 399), round((x + 2) / 4 * 799)] == 114


def test_every_pixel_covers_the_same_area():
    pixels = mollweide_pixels(4, 400)
    counts = np.bincount(pixels[pixels >= 0], minlength=192)
    assert counts.min() > 0.9 * counts.mean()
    assert counts.max() < 1.1 * counts.mean()


def test_graticule_stays_in_the_ellipse():
    assert len(flat_graticule()) == 7 + 5  # meridians, both edges among them, and parallels
    for line in flat_graticule():
        assert (line[:, 0] ** 2 / 4 + line[:, 1] ** 2 <= 1 + 1e-6).all()
