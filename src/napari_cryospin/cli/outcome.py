"""Commands about what a run found: evaluate, posterior."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from napari_cryospin import report
from napari_cryospin.cli.console import say
from napari_cryospin.evaluation.against_truth import THRESHOLD, TruthReport, evaluate_results
from napari_cryospin.runs.folder import RunFolder


def evaluate(
    run: Positional[Path],
    truth: Path | None = None,
    map: Path | None = None,
    symmetry: str = "C1",
) -> int:
    """Compare a run with a known truth: figures and numbers go to its results/.

    Parameters
    ----------
    run
        Folder of the run.
    truth
        Particles with true poses (.star), such as `simulate` writes.
    map
        True map (.mrc).
    symmetry
        Point group of the true map, modulo which poses are compared: Cn or Dn.
    """
    if truth is None and map is None:
        raise ValueError("evaluate: neither --truth nor --map given; expected at least one")
    folder = RunFolder(run)
    results = folder.path / "results"
    found = evaluate_results(results, truth, map, symmetry)
    found.save(results / "evaluation.json")
    say(found.text())
    for path in draw(folder, found):
        say(f"wrote {path}")
    return 0


def draw(folder: RunFolder, found: TruthReport) -> list[Path]:
    """Pictures of a run and of how it compares, into results/."""
    results = folder.path / "results"
    figures = {"convergence": report.convergence_figure(folder.read_metrics(), folder.read_events())}
    if found.map is not None:
        curves = {label: (curve.frequency, curve.values) for label, curve in found.map.curves.items()}
        figures["fsc_to_truth"] = report.fsc_figure(curves, THRESHOLD)
        maps = {"map": found.map.density, "truth": found.map.truth}
        figures["slices"] = report.slices_figure(maps, found.map.pixel_size)
    return [report.save(figure, results / f"{name}.png") for name, figure in figures.items()]
