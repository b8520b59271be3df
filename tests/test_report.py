"""Pictures: every figure can be drawn without a screen."""

import numpy as np

from napari_cryospin import report
from napari_cryospin.runs.messages import Event


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
