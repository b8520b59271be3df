"""Fig. 3: resolution and median error against time."""

from __future__ import annotations

from benchmarks.paper.cases import CONTENDERS
from benchmarks.paper.drawing import COLOURS, Comparison, Section, svg
from benchmarks.paper.tables import curves, runs_of
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

LABELS = {"resolution": "resolution (A, FSC 0.5 with the truth)", "median": "median rotation error (degrees)"}


def against_time(comparison: Comparison, molecule: str, value: str, methods: tuple[str, ...] = ()) -> str:
    """Draw a value of a molecule's runs against time, both as logarithms: SVG."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for method in methods or CONTENDERS:
        if (method, value) == ("known-poses", "median"):  # It is given what the others look for.
            continue
        lines = [
            [(row["seconds"], row[value]) for row in run["rows"] if value in row]
            for run in runs_of(comparison.runs, method, molecule)
        ]
        for number, line in enumerate(line for line in lines if line):
            label = None if number else method
            axes.loglog(*zip(*line, strict=True), color=COLOURS[method], label=label, marker=".", ms=3, lw=1)
    axes.set(title=molecule, xlabel="time (s)", ylabel=LABELS[value])
    axes.grid(alpha=0.3)
    for axis, labelled in ((axes.xaxis, (1, 3)), (axes.yaxis, (1, 2, 3, 5, 7))):
        axis.set_major_locator(LogLocator(subs=labelled))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return svg(figure)


def figure_3(comparison: Comparison) -> Section:
    """Draw every run."""
    drawings = [against_time(comparison, molecule, value) for molecule in comparison.molecules for value in LABELS]
    text = "A line a seed. known-poses is given the true poses, and shows what the volume can do."
    return Section("Fig. 3: against time", text, drawings, {"fig_3": curves(comparison.runs)})
