"""Pictures: the sphere's map agrees with itself and with healpy, and every figure can be drawn without a screen."""

import healpy
import numpy as np
import pytest

from napari_cryospin import report
from napari_cryospin.runs.messages import Event


def test_mollweide_and_its_picture_agree():
    nside = 8
    vectors = np.stack(healpy.pix2vec(nside, np.arange(12 * nside**2)), axis=-1)
    x, y = report.mollweide(vectors).T
    picture = report.mollweide_picture(np.arange(len(vectors), dtype=float), height=400)
    rows, columns = np.rint((y + 1) / 2 * 399).astype(int), np.rint((x + 2) / 4 * 799).astype(int)
    agree = picture[rows, columns] == np.arange(len(vectors))
    assert agree.mean() > 0.99  # pixels on the seam fall on either side


def test_mollweide_agrees_with_healpy():
    projector = healpy.projector.MollweideProj()
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.stack(projector.vec2xy(*vectors.T), axis=-1)
    np.testing.assert_allclose(report.mollweide(vectors), expected, atol=1e-4)


@pytest.mark.parametrize("z", [1.0, -1.0])
def test_mollweide_poles(z):
    np.testing.assert_allclose(report.mollweide(np.array([0.0, 0.0, z])), [0, z], atol=1e-3)


def test_figures_are_drawn(tmp_path):
    rng = np.random.default_rng(1)
    density = rng.normal(size=(16, 16, 16))
    frequencies = np.linspace(0, 0.1, 9)
    metrics = [
        {
            "step": step,
            "loss": 1 / step,
            "resolution": None if step < 3 else 9.0,
            "head_share_0": 0.4,
            "head_share_1": 0.6,
        }
        for step in range(1, 9)
    ]
    rotations = np.linalg.qr(rng.normal(size=(3, 3, 3)))[0]
    figures = {
        "slices": report.slices_figure({"map": density, "truth": density}, 2.0),
        "fsc": report.fsc_figure({"unmasked": (frequencies, 1 - 8 * frequencies)}, 0.5),
        "convergence": report.convergence_figure(metrics, [Event(kind="switched", step=4)]),
        "posterior": report.posterior_figure(
            rng.normal(size=12 * 8**2), rotations, 1, rotations[0], rotations[1], "particle 7"
        ),
    }
    for name, figure in figures.items():
        assert report.save(figure, tmp_path / f"{name}.png").stat().st_size > 5000
