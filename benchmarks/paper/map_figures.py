"""Fig. 2: Fourier shell correlation with the truth, and pictures of the maps beside it."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from benchmarks.paper.cases import CONTENDERS
from benchmarks.paper.drawing import COLOURS, Comparison, Section, svg
from benchmarks.paper.tables import Table
from cycler import cycler
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_cryospin.evaluation.against_truth import TRUTH_THRESHOLD, MapComparison
from napari_cryospin.views.figures import fsc_figure

COLUMNS = 6
"""Most pictures in a row."""


def compared_maps(comparison: Comparison, molecule: str) -> dict[str, MapComparison]:
    """Align the last map of each method's first run to the truth: method -> comparison."""
    found = {method: comparison.first(method, molecule) for method in CONTENDERS}
    return {
        method: comparison.with_truth(run).compared(run["rows"][-1]["epoch"])
        for method, run in found.items()
        if run is not None
    }


def projections_figure(maps: Mapping[str, NDArray[np.float32]], title: str) -> Figure:
    """Draw each `(z, y, x)` map summed along z, with grey levels of its own."""
    columns = min(COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(1.7 * columns, 1.95 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, (name, density) in zip(panels, maps.items(), strict=False):
        axes.imshow(density.sum(0), cmap="gray", origin="lower")
        axes.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure


def figure_2(comparison: Comparison) -> Section:
    """Draw the first seed of every method."""
    drawings: list[str] = []
    numbers: Table = [["molecule", "method", "frequency (1/A)", "correlation"]]
    for molecule in comparison.molecules:
        if not (maps := compared_maps(comparison, molecule)):
            continue
        curves = {name: one.curves["masked"] for name, one in maps.items()}
        with mpl.rc_context({"axes.prop_cycle": cycler(color=[COLOURS[name] for name in maps]), "legend.fontsize": 8}):
            figure = fsc_figure({name: (one.frequency, one.values) for name, one in curves.items()}, TRUTH_THRESHOLD)
        figure.suptitle(molecule, fontsize=10)
        truth = next(iter(maps.values())).truth
        pictures = projections_figure({"truth": truth} | {name: one.density for name, one in maps.items()}, molecule)
        drawings += [svg(figure), svg(pictures)]
        for name, one in curves.items():
            numbers += [[molecule, name, *map(float, pair)] for pair in zip(one.frequency, one.values, strict=True)]
    text = (
        "The last map of each method's first seed, aligned to the truth: correlation within the truth's mask, and "
        "projections along z. The threshold is the paper's for synthetic data."
    )
    return Section("Fig. 2: maps and their FSC with the truth", text, drawings, {"fig_2_fsc": numbers})
