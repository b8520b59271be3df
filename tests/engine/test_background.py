"""Plane and spread of the background: right on noise, and not moved by what real images have beside it."""

import numpy as np
import pytest

from napari_cryospin.engine.background import Background, masked_median

BOX, COUNT = 64, 60
AXIS = (np.arange(BOX) - BOX // 2) / BOX
X, Y = AXIS[None], AXIS[:, None]
BACKGROUND = Background(BOX, 0.46 * BOX)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(COUNT, BOX, BOX)).astype(np.float32)


def ramps(slope: float) -> np.ndarray:
    """`(k, 3)` value at the centre, and slopes along x and y in all directions."""
    turn = np.linspace(0, 2 * np.pi, COUNT)
    return np.stack((np.linspace(-3, 3, COUNT), slope * np.cos(turn), slope * np.sin(turn)), axis=-1)


def with_plane(images: np.ndarray, planes: np.ndarray) -> np.ndarray:
    centre, x, y = (planes[:, column, None, None] for column in range(3))
    return (images + centre + x * X + y * Y).astype(np.float32)


def test_noise_has_its_own_spread_and_no_ramp() -> None:
    found = BACKGROUND.fit(noise() * 7 + 300)
    np.testing.assert_allclose(found.deviation / 7, 1, atol=0.08)
    assert found.deviation.mean() / 7 == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(found.plane[:, 0], 300, atol=7 * 0.12)
    assert (found.plane[:, 1:] == 0).all(1).mean() > 0.85  # a slope that may be chance is none
    classical = BACKGROUND.values(noise()).std(1)
    assert (found.deviation / 7 - 1).std() < 1.15 * (classical - 1).std()


def test_a_ramp_is_taken_out() -> None:
    images = with_plane(noise(), ramps(5.0))
    found = BACKGROUND.fit(images)
    np.testing.assert_allclose(found.plane, ramps(5.0), atol=0.4)
    np.testing.assert_allclose(found.deviation, 1, atol=0.08)
    BACKGROUND.subtract(images, found.plane)
    left = images - noise()
    assert np.abs(left).max() < 0.4


def least_squares(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Planes `(k, 3)` and spreads `(k,)` of the pixels outside the mask, all of which count."""
    values = BACKGROUND.values(images).astype(float)
    place = np.stack([BACKGROUND.values(part[None])[0] for part in (np.ones((BOX, BOX)), X + 0 * Y, Y + 0 * X)], -1)
    planes = np.linalg.lstsq(place, values.T)[0].T
    return planes, (values - planes @ place.T).std(1)


def blob(x: float, y: float, width: float) -> np.ndarray:
    return np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * width**2))


def filled_edge(images: np.ndarray) -> np.ndarray:
    """A quarter of the image lies beyond the micrograph."""
    images = images.copy()
    images[:, :, : BOX // 4] = 0.5
    return images


def bead(images: np.ndarray) -> np.ndarray:
    return images + (60 * (np.hypot(X - 0.4, Y + 0.4) < 0.05)).astype(np.float32)


def neighbour(images: np.ndarray) -> np.ndarray:
    """Not brighter than the noise, and as wide as a corner."""
    return images + (2.0 * blob(0.45, 0.45, 0.09)).astype(np.float32)


def ice(images: np.ndarray) -> np.ndarray:
    return images + (30.0 * blob(-0.5, 0.48, 0.06)).astype(np.float32)


@pytest.mark.parametrize("disturbed", [filled_edge, bead, neighbour, ice])
@pytest.mark.parametrize("slope", [0.0, 5.0])
def test_what_lies_in_the_background_does_not_move_it(disturbed, slope) -> None:
    """Least squares of the same pixels are moved by several times as much."""
    images = with_plane(noise(), ramps(slope))
    found, clean = BACKGROUND.fit(disturbed(images)), BACKGROUND.fit(images)
    moved = np.abs(found.plane - clean.plane).mean(0)
    plane, deviation = least_squares(disturbed(images))
    other = np.abs(plane - least_squares(images)[0]).mean(0)
    assert moved.sum() < max(0.5 * other.sum(), 0.3)
    assert np.abs(found.deviation / clean.deviation - 1).mean() < max(0.3 * np.abs(deviation - 1).mean(), 0.03)


def test_each_image_is_judged_by_itself() -> None:
    """What is prepared at once for a run is prepared alone for the eye."""
    images = ice(with_plane(noise(), ramps(5.0)))
    images[::3] = noise()[::3]
    together, alone = BACKGROUND.fit(images), [BACKGROUND.fit(image[None]) for image in images]
    np.testing.assert_allclose(together.plane, np.concatenate([one.plane for one in alone]), atol=1e-4)
    np.testing.assert_allclose(together.deviation, np.concatenate([one.deviation for one in alone]), rtol=1e-4)


def test_images_that_show_something_in_a_part_of_the_box_alone() -> None:
    seen = np.zeros((COUNT, BOX, BOX), bool)
    seen[:, 6:-6, 6:-6] = True
    background = Background(BOX, 0.3 * BOX)
    found = background.fit(with_plane(noise(), ramps(5.0)) * seen, seen)
    np.testing.assert_allclose(found.deviation, 1, atol=0.1)
    assert np.abs(found.plane - ramps(5.0)).max() < 0.7


def test_background_that_does_not_vary_has_no_spread() -> None:
    images = np.full((2, BOX, BOX), 3, np.float32)
    images[1] = noise()[0]
    found = BACKGROUND.fit(images)
    assert found.deviation[0] == pytest.approx(0, abs=1e-3)
    assert found.deviation[1] > 0.9


@pytest.mark.parametrize("box", [16, 20, 32, 128, 200])
def test_boxes(box) -> None:
    images = np.random.default_rng(1).normal(size=(200, box, box)).astype(np.float32)
    found = Background(box, 0.46 * box).fit(images)
    assert found.deviation.mean() == pytest.approx(1, abs=0.04 if box < 32 else 0.02)


def test_masked_median_against_numpy() -> None:
    rng = np.random.default_rng(0)
    values, mask = rng.normal(size=(50, 9)), rng.random((50, 9)) < 0.6
    mask[0], mask[1] = False, True
    expected = [np.median(row[kept]) if kept.any() else 0 for row, kept in zip(values, mask, strict=True)]
    np.testing.assert_allclose(masked_median(values, mask), expected, rtol=1e-6)
