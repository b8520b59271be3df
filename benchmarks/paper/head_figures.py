"""Fig. 6: the error of each head over the sphere of true view directions."""

from __future__ import annotations

import numpy as np
from benchmarks.paper.candidate_figures import PAIR, encoding_epoch
from benchmarks.paper.drawing import Comparison, Section, svg
from benchmarks.paper.tables import Table
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_cryospin.geometry.mollweide import flat_graticule, mollweide_picture

TITLE = "Fig. 6: errors of the heads over the sphere"


def spheres_figure(errors: NDArray[np.float64]) -> Figure:
    """Draw `(M, cells)` errors in degrees, a sphere a head."""
    figure = Figure(figsize=(3.2 * len(errors), 2.2), layout="constrained")
    panels = figure.subplots(1, len(errors), squeeze=False)[0]
    for number, (axes, values) in enumerate(zip(panels, errors, strict=True)):
        picture = axes.imshow(
            mollweide_picture(values), extent=(-2, 2, -1, 1), origin="lower", cmap="coolwarm", vmin=0, vmax=180
        )
        for line in flat_graticule():
            axes.plot(*line.T, color="white", lw=0.4, alpha=0.7)
        axes.set_title(f"head {number + 1}", fontsize=9)
        axes.set_axis_off()
    figure.colorbar(picture, ax=panels, shrink=0.8, label="degrees")
    return figure


def figure_6(comparison: Comparison) -> Section:
    """Draw the first run with four heads."""
    method, molecule = PAIR[1], comparison.molecules[0]
    run = comparison.first(method, molecule)
    if run is None or (epoch := encoding_epoch(run)) is None:
        return Section(TITLE, f"Not drawn: no run of {method} on {molecule} has ended an epoch.")
    maps = comparison.with_truth(run).view.heads(epoch, errors=True)
    if maps.note:
        return Section(TITLE, f"Not drawn: {maps.note} ({molecule}, {method}, epoch {epoch}).")
    numbers: Table = [["head", "cell", "mean error (degrees)"]]
    numbers += [[head + 1, cell, float(value)] for (head, cell), value in np.ndenumerate(maps.values)]
    text = (
        f"{molecule}, four heads, epoch {epoch}: mean rotation error of each head's candidates, by true view direction."
    )
    return Section(TITLE, text, [svg(spheres_figure(maps.values))], {"fig_6": numbers})
