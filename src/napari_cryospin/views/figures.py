"""Figures of a run, drawn without a screen: map slices, FSC, convergence, one particle's posterior."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_cryospin.geometry.mollweide import flat_graticule, mollweide, mollweide_picture
from napari_cryospin.io.fsc_files import read_fsc_csv
from napari_cryospin.runs.messages import Event
from napari_cryospin.views.curves import change_word, share_names

if TYPE_CHECKING:
    from napari_cryospin.evaluation.against_truth import MapComparison

COLOURS = matplotlib.colormaps["tab10"].colors  # type: ignore[attr-defined]
"""Colours of the heads, by number."""


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure in the format that the suffix names (.png, .svg, .pdf)."""
    figure.savefig(path, dpi=120)
    return path


def slices_figure(maps: Mapping[str, NDArray[Any]], pixel_size: float) -> Figure:
    """Draw the central slices of each map along z, y and x, with the same grey levels within a map.

    Parameters
    ----------
    maps
        Title -> `(z, y, x)` map.
    pixel_size
        Angstrom.
    """
    figure = Figure(figsize=(9, 3.1 * len(maps)), layout="constrained")
    rows = figure.subplots(len(maps), 3, squeeze=False)
    for row, (title, density) in zip(rows, maps.items(), strict=True):
        n = density.shape[0]
        low, high = np.quantile(density, [0.01, 0.999])
        half = n / 2 * pixel_size
        for axis, (axes, names) in enumerate(zip(row, ("xy", "xz", "yz"), strict=True)):
            extent = (-half, half, -half, half)
            axes.imshow(density.take(n // 2, axis), cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent)
            axes.set(title=f"{title}, {names}", xlabel=f"{names[0]} (A)", ylabel=f"{names[1]} (A)")
    return figure


def fsc_figure(curves: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], threshold: float) -> Figure:
    """Draw Fourier shell correlations.

    Parameters
    ----------
    curves
        Label -> frequencies `(shells,)` in 1/A, correlation `(shells,)`.
    threshold
        Correlation at which a horizontal line is drawn.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for label, (frequencies, correlation) in curves.items():
        axes.plot(frequencies, correlation, label=label)
    axes.axhline(threshold, color="0.6", lw=0.8, ls="--", label=f"{threshold:g}")
    axes.set(xlabel="spatial frequency (1/A)", ylabel="Fourier shell correlation", ylim=(-0.1, 1.05))
    axes.set_xlim(left=0)
    above = axes.secondary_xaxis("top")
    ticks = axes.get_xticks()[1:]
    above.set_xticks(ticks, [f"{1 / tick:.3g}" for tick in ticks])
    above.set_xlabel("resolution (A)")
    axes.legend()
    return figure


def guinier_figure(
    square: NDArray[Any], log_amplitude: NDArray[Any], b_factor: float | None, resolution: float | None
) -> Figure:
    """Draw the Guinier plot of a map, with the B-factor that was applied.

    Parameters
    ----------
    square, log_amplitude
        `(shells,)`: 1/A^2, and the logarithm of the mean amplitude.
    b_factor, resolution
        A^2 and A; None: not known.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(square, log_amplitude, marker=".")
    if resolution:
        axes.axvline(1 / resolution**2, color="0.6", lw=0.8, ls="--")
    title = f"B-factor {b_factor:.0f} A^2" if b_factor else "not sharpened"
    axes.set(xlabel="squared frequency (1/A^2)", ylabel="ln of the mean amplitude", title=title)
    return figure


def directions_figure(
    against_even: NDArray[Any], precision: NDArray[Any], compensation: float, sampled: float
) -> Figure:
    """Draw on the sphere how many particles are seen from each direction, and how precisely their poses are known.

    Parameters
    ----------
    against_even, precision
        `(cells,)` of a HEALPix grid in ring order: number of particles over that of an even spread; and expected error
        of the poses in degrees, nan where it is not known.
    compensation, sampled
        SCF* of the distribution, and share of Fourier space that is sampled, both from 0 to 1.
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = {
        "particles, 1: as many as if evenly spread": against_even,
        "expected error of the poses (degrees)": precision,
    }
    for axes, (label, values) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        picture = axes.imshow(mollweide_picture(values), extent=(-2, 2, -1, 1), origin="lower", cmap="viridis")
        figure.colorbar(picture, ax=axes, shrink=0.8, label=label)
        _graticule(axes)
    figure.suptitle(f"view directions: SCF* {compensation:.2f}, {100 * sampled:.0f} % of Fourier space sampled")
    return figure


def truth_figures(compared: MapComparison) -> dict[str, Figure]:
    """Draw the comparison of a map with the true one: figures of FSC and slices, by name."""
    from napari_cryospin.evaluation.against_truth import TRUTH_THRESHOLD  # loads torch

    curves = {label: (curve.frequency, curve.values) for label, curve in compared.curves.items()}
    maps = {"map": compared.density, "truth": compared.truth}
    return {
        "fsc_to_truth": fsc_figure(curves, TRUTH_THRESHOLD),
        "slices": slices_figure(maps, compared.pixel_size),
    }


def results_figures(results: Path) -> dict[str, Figure]:
    """Draw the figures of a results folder, by name: resolution, sharpening and view directions.

    The `efficiency` of postprocess.json is SCF*.
    """
    figures: dict[str, Figure] = {}
    facts = json.loads((results / "postprocess.json").read_text())
    if (results / "fsc.csv").is_file():
        curves = read_fsc_csv(results / "fsc.csv")
        frequency = curves.pop("frequency")
        labels = {name.replace("_", " "): (frequency, values) for name, values in curves.items()}
        figures["fsc"] = fsc_figure(labels, facts["threshold"])
    if (results / "guinier.csv").is_file():
        plot = pd.read_csv(results / "guinier.csv")
        shown = (plot["square"].to_numpy(), plot["log_amplitude"].to_numpy())
        figures["guinier"] = guinier_figure(*shown, facts["b_factor"], facts["resolution_angstrom"])
    cells = pd.read_csv(results / "orientations.csv")
    values = (cells["against_even"].to_numpy(), cells["precision_degrees"].to_numpy(dtype=np.float64))
    figures["orientations"] = directions_figure(*values, facts["efficiency"], facts["fourier_space_sampled"])
    return figures


CURVE_LABELS = {
    "loss": "loss",
    "resolution": "resolution (A)",
    "pose_change": "pose change (degrees)",
    "entropy": "entropy (nats)",
}
"""Metric -> label of its axis, in the order of the panels."""


def convergence_figure(metrics: Sequence[Mapping[str, Any]], events: Sequence[Event]) -> Figure:
    """Draw metrics over the steps of a run, with a line where it switched, or its symmetry changed.

    Parameters
    ----------
    metrics
        Lines of metrics.jsonl.
    events
        Events of the same run.
    """
    shares = share_names(metrics)
    panels = [name for name in CURVE_LABELS if _curve(metrics, name)[0].size]
    figure = Figure(figsize=(8, 2.2 * (len(panels) + bool(shares))), layout="constrained")
    rows = figure.subplots(len(panels) + bool(shares), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(rows, panels, strict=False):
        axes.plot(*_curve(metrics, name), marker="." if name != "loss" else "")
        axes.set_ylabel(CURVE_LABELS[name])
    if shares:
        for name in shares:
            rows[-1].plot(*_curve(metrics, name), marker=".", label=f"{_number(name) + 1}")
        rows[-1].set_ylabel("share of particles")
        rows[-1].legend(title="head", ncols=4, fontsize="small")
    rows[-1].set_xlabel("step")
    for event in events:
        if text := "switch" if event.kind == "switched" else change_word(event):
            for axes in rows:
                axes.axvline(event.step, color="tab:red", ls="--")
            rows[0].text(
                event.step, 1.0, f" {text}", color="tab:red", va="top", transform=rows[0].get_xaxis_transform()
            )
    return figure


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _curve(metrics: Sequence[Mapping[str, Any]], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    points = [(line["step"], line[name]) for line in metrics if line.get(name) is not None]
    steps, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return steps, values


def posterior_figure(
    log_posterior: NDArray[Any],
    candidates: NDArray[Any],
    winner: int,
    pose: NDArray[Any] | None = None,
    truth: NDArray[Any] | None = None,
    title: str = "",
) -> Figure:
    """Draw one particle's posterior over view directions, with numbered candidates.

    Parameters
    ----------
    log_posterior
        `(pixels,)` log posterior of the directions of a HEALPix grid in ring order, summed over in-plane angles.
    candidates
        `(m, 3, 3)` rotations, one for each head; may be empty.
    winner
        Index of the candidate that won, which is ringed; any other number: none of them won.
    pose
        `(3, 3)` present rotation of the particle, drawn as a star.
    truth
        `(3, 3)` true rotation in the same frame, drawn as a cross.
    title
        Title above the figure.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(
        mollweide_picture(log_posterior - log_posterior.max()),
        extent=(-2, 2, -1, 1),
        origin="lower",
        cmap="viridis",
        vmin=-min(30.0, float(np.ptp(log_posterior))),
        vmax=0,
    )
    figure.colorbar(picture, ax=axes, shrink=0.7, label="log posterior below its maximum (nats)")
    for number, rotation in enumerate(candidates):
        x, y = mollweide(rotation[2])
        colour = COLOURS[number % len(COLOURS)]
        axes.scatter(x, y, s=150, color=colour, edgecolor="red" if number == winner else "white", lw=1.5, zorder=3)
        axes.text(x, y, str(number + 1), ha="center", va="center", fontsize=8, color="white", zorder=4)
    for rotation, style, label in ((pose, "*", "pose"), (truth, "x", "truth")):
        if rotation is not None:
            x, y = mollweide(rotation[2])
            axes.scatter(x, y, marker=style, s=90, color="red", zorder=5, label=label)
    if pose is not None or truth is not None:
        axes.legend(loc="lower right")
    _graticule(axes)
    axes.set_title(title)
    return figure


def _graticule(axes: Axes) -> None:
    for line in flat_graticule():
        axes.plot(*line.T, color="white", lw=0.4, alpha=0.7)
    axes.set_axis_off()
