"""Figures of preferred orientation, against distributions for which they are known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.evaluation.orientation_distribution import orientation_distribution

SHELL = 20.0


def rotations(rot, tilt) -> np.ndarray:
    """RELION's A of angles in degrees."""
    rot, tilt = np.broadcast_arrays(rot, tilt)
    psi = np.random.default_rng(0).uniform(0, 360, rot.size)
    angles = np.stack((rot.ravel(), tilt.ravel(), psi), axis=-1)
    return Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)


def test_even_views_are_as_good_as_can_be():
    found = orientation_distribution(Rotation.random(20_000, random_state=0).as_matrix(), SHELL)
    assert found.compensation > 0.99
    assert found.sampled == 1
    assert found.counts.sum() == 20_000
    assert found.table["against_even"].mean() == pytest.approx(1)


def test_side_views_have_the_published_compensation():
    """Views evenly about the equator: sampling goes as 1 / sin(theta), its harmonic mean is 8 / pi^2 of its mean."""
    even = rotations(np.linspace(0, 360, 40_000, endpoint=False), 90.0)
    found = orientation_distribution(even, SHELL)
    assert found.compensation == pytest.approx(8 / np.pi**2, abs=0.03)
    assert found.sampled == 1


def test_one_view_samples_one_slice():
    found = orientation_distribution(rotations(np.zeros(500), 0.0), SHELL)
    assert found.sampled == pytest.approx(0.5 / SHELL, abs=0.002)
    assert found.compensation < 0.01
    assert found.counts.max() == 500


def test_views_about_an_axis_leave_a_cone_unsampled():
    """Tilts of up to 30 degrees: what is within 60 degrees of the axis is not seen, cos 60 = half of the sphere."""
    rng = np.random.default_rng(0)
    tilt = np.degrees(np.arccos(rng.uniform(np.cos(np.radians(30)), 1, 20_000)))
    found = orientation_distribution(rotations(rng.uniform(0, 360, 20_000), tilt), SHELL)
    assert found.sampled == pytest.approx(0.5, abs=0.03)
    assert found.compensation < 0.05


def test_sampling_does_not_depend_on_the_chunks_or_the_side(monkeypatch):
    many = Rotation.random(300, random_state=1).as_matrix()
    whole = orientation_distribution(many, SHELL)
    monkeypatch.setattr("napari_cryospin.evaluation.orientation_distribution.DIRECTIONS_AT_A_TIME", 70)
    parts = orientation_distribution(many, SHELL)
    assert (parts.compensation, parts.sampled) == (whole.compensation, whole.sampled)
    behind = many * np.array([1, -1, -1])[:, None]  # the opposite view directions
    assert orientation_distribution(behind, SHELL).compensation == pytest.approx(whole.compensation)


def test_precision_is_the_median_of_a_cell():
    found = orientation_distribution(rotations(np.zeros(4), 0.0), SHELL, [1.0, 3.0, np.nan, 2.0])
    cell = int(found.counts.argmax())
    assert found.precision[cell] == 2
    assert np.isnan(np.delete(found.precision, cell)).all()
    assert np.isnan(orientation_distribution(rotations(np.zeros(4), 0.0), SHELL).precision).all()


def test_no_particles_are_refused():
    with pytest.raises(ValueError, match="expected"):
        orientation_distribution(np.zeros((0, 3, 3)), SHELL)
