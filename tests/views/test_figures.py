"""Pictures: every figure can be drawn without a screen."""

import json

import numpy as np
import pytest

from napari_cryospin.io.fsc_files import write_fsc_csv
from napari_cryospin.runs.messages import Event
from napari_cryospin.views import figures as report


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
        assert report.save_figure(figure, tmp_path / f"{name}.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("kind", "detail", "word"),
    [
        ("switched", {}, "switch"),
        ("symmetry", {"symmetry": "D7", "before": "C1"}, "D7"),
        ("symmetry", {"symmetry": "C1", "before": "C3"}, "C1"),
        ("symmetry", {"symmetry": "C3", "before": "C3"}, "C3"),  # the best of several symmetric starts
        ("symmetry", {"symmetry": "C1", "before": "C1"}, "no symmetry"),  # it is not looked for any more
        ("classes", {"change": "dropped"}, "class dropped"),
        ("classes", {"change": "split"}, ""),
        ("paused", {}, ""),
    ],
)
def test_the_words_of_events_in_the_curves(kind, detail, word):
    metrics = [{"step": step, "loss": 1 / step} for step in range(1, 9)]
    drawn = report.convergence_figure(metrics, [Event(kind=kind, step=4, detail=detail)])
    assert [text.get_text().strip() for text in drawn.axes[0].texts] == ([word] if word else [])


def test_results_are_drawn_as_far_as_they_go(tmp_path):
    frequency = np.linspace(0, 0.1, 9)
    table = {"efficiency": 0.8, "fourier_space_sampled": 0.97, "threshold": 0.143}
    table |= {"b_factor": None, "resolution_angstrom": None}
    (tmp_path / "postprocess.json").write_text(json.dumps(table))
    cells = np.stack((np.random.default_rng(0).random(192), np.full(192, np.nan)), axis=1)
    header = "against_even,precision_degrees"
    np.savetxt(tmp_path / "orientations.csv", cells, delimiter=",", header=header, comments="")
    assert list(report.results_figures(tmp_path)) == ["orientations"]
    write_fsc_csv(tmp_path / "fsc.csv", {"frequency": frequency, "corrected": 1 - 9 * frequency})
    (tmp_path / "guinier.csv").write_text("square,log_amplitude\n0.001,3\n0.002,2.5\n0.003,2\n")
    (tmp_path / "postprocess.json").write_text(json.dumps({**table, "b_factor": -90.0, "resolution_angstrom": 8.0}))
    figures = report.results_figures(tmp_path)
    assert list(figures) == ["fsc", "guinier", "orientations"]
    assert figures["guinier"].axes[0].get_title() == "B-factor -90 A^2"
    assert "SCF* 0.80" in figures["orientations"].get_suptitle()
    for name, figure in figures.items():
        assert report.save_figure(figure, tmp_path / f"{name}.png").stat().st_size > 5000
