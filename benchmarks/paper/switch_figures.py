"""Fig. 4 and 7: the same run with and without the switch: pose errors, and paths of poses over their posteriors."""

from __future__ import annotations

import numpy as np
from benchmarks.paper.cases import SYMMETRIES
from benchmarks.paper.drawing import Comparison, Section, svg
from benchmarks.paper.rows import TrueRun
from benchmarks.paper.tables import Run, Table, runs_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.runs.epoch_record import EpochRecord

BRANCHES = {"cryospin": "tab:blue", "fully-amortized": "tab:red"}
"""Method -> colour of its line; the two are one run until the switch of the first."""
EXAMPLES = 4
"""Particles whose paths are drawn."""
MOVED = (2.0, 8.0)
"""Degrees by which the view direction of an example moved after the switch, so that its path shows in the zoom, 20
degrees wide. Chosen by hand."""


def switch_epoch(run: Run) -> int | None:
    """Return the last kept epoch before the switch; None: the run did not come to the switch."""
    before = [row["epoch"] for row in run["rows"] if row["stage"] == "auto-encoding"]
    return before[-1] if before and run["rows"][-1]["stage"] == "auto-decoding" else None


def directions_in(run: TrueRun, epoch: int, other: TrueRun, other_epoch: int) -> NDArray[np.float64]:
    """Return the view directions `(n, 3)` of an epoch in the frame of another epoch or run, by way of the truth."""
    directions = run.view.folder.history(epoch).particles().rotations[:, 2]
    return directions @ run.poses(epoch)[0].alignment.T @ other.poses(other_epoch)[0].alignment


def examples(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.intp]:
    """Choose the first particles whose view direction `(n, 3)` moved by a distance that shows in the zoom."""
    moved = np.degrees(np.arccos(np.clip((before * after).sum(1), -1, 1)))
    return np.flatnonzero((moved >= MOVED[0]) & (moved <= MOVED[1]))[:EXAMPLES]


def errors_figure(comparison: Comparison, molecule: str) -> Figure:
    """Draw the mean errors of both branches by epoch, a line a seed."""
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for method, colour in BRANCHES.items():
        for number, run in enumerate(runs_of(comparison.runs, method, molecule)):
            epochs, means = ([row[name] for row in run["rows"]] for name in ("epoch", "mean"))
            axes.plot(epochs, means, color=colour, lw=1, label=None if number else method)
            if method == "cryospin" and (epoch := switch_epoch(run)) is not None:
                axes.axvline(epoch, color="0.6", lw=0.8, ls="--", label=None if number else "switch")
    axes.set(title=molecule, xlabel="epoch", ylabel="mean rotation error (degrees)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def paths(comparison: Comparison, molecule: str) -> tuple[Figure, Table] | str:
    """Draw the paths of some particles in both branches after the switch; or say why that cannot be drawn."""
    runs = [comparison.first(method, molecule) for method in BRANCHES]
    if runs[0] is None or runs[1] is None or (switch := switch_epoch(runs[0])) is None:
        return "no run of both methods came beyond the switch"
    if runs[1]["rows"][-1]["epoch"] <= switch:
        return f"{runs[1]['method']} did not come beyond epoch {switch} in its time"
    own, branches = comparison.with_truth(runs[0]), [comparison.with_truth(run) for run in runs if run is not None]
    last = runs[0]["rows"][-1]["epoch"]
    tracks = {
        method: {epoch: directions_in(run, epoch, own, last) for epoch in run.view.epochs if switch <= epoch <= last}
        for method, run in zip(BRANCHES, branches, strict=True)
    }
    chosen = examples(tracks["cryospin"][switch], tracks["cryospin"][last])
    if not len(chosen):
        return "no particle moved by a distance that would show"
    figure = Figure(figsize=(3 * len(chosen), 3.3), layout="constrained")
    numbers: Table = []
    record = own.view.record(last)
    for axes, place in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        tracked = {method: {epoch: track[epoch][place] for epoch in track} for method, track in tracks.items()}
        true = true_direction(own, record, int(place))
        numbers += [[molecule, *line] for line in draw_paths(axes, own, record, int(place), tracked, true)]
    figure.suptitle(molecule, fontsize=10)
    return figure, numbers


def true_direction(run: TrueRun, record: EpochRecord, place: int) -> NDArray[np.float64]:
    """Return the true view direction `(3,)` of a particle in a record's frame: the copy nearest to its pose."""
    rotations = run.truth.rotations
    assert rotations is not None
    known = rotations[record.particles.rows[place], 2]
    copies = known @ group_matrices(SYMMETRIES.get(run.molecule, "C1")) @ run.poses(record.epoch)[0].alignment
    return copies[(copies @ record.particles.rotations[place, 2]).argmax()]


def draw_paths(
    axes: Axes,
    run: TrueRun,
    record: EpochRecord,
    place: int,
    tracks: dict[str, dict[int, NDArray[np.float64]]],
    true: NDArray[np.float64],
) -> Table:
    """Draw one particle's posterior about its pose with its paths; return particle, method, epoch, u, v in degrees."""
    particle = int(record.particles.rows[place])
    zoom = run.view.posteriors.view.zoom(particle, record, record.particles.rotations[place, 2].copy())
    extent, numbers = (zoom.u[0], zoom.u[-1], zoom.v[0], zoom.v[-1]), []
    axes.imshow(zoom.log_posterior, extent=extent, origin="lower", cmap="Greys", vmin=zoom.log_posterior.max() - 30)
    for method, track in tracks.items():
        points = zoom.project(np.stack(list(track.values())))
        axes.plot(*points.T, color=BRANCHES[method], marker=".", ms=4, lw=1, label=method)
        numbers += [[particle + 1, method, at, *map(float, uv)] for at, uv in zip(track, points, strict=True)]
    axes.plot(*zoom.project(next(iter(tracks["cryospin"].values()))), "kx", ms=8, label="at the switch")
    axes.plot(*zoom.project(true), "+", color="tab:green", ms=10, mew=2, label="truth")
    axes.set(xlim=extent[:2], ylim=extent[2:], title=f"particle {particle + 1}", xlabel="degrees")
    axes.legend(fontsize=6, loc="lower right")
    return numbers


def figure_4(comparison: Comparison) -> Section:
    """Draw every molecule."""
    drawings, missing = [], []
    numbers: Table = [["molecule", "particle", "method", "epoch", "u (degrees)", "v (degrees)"]]
    for molecule in comparison.molecules:
        if not any(comparison.first(method, molecule) for method in BRANCHES):
            continue
        drawings.append(svg(errors_figure(comparison, molecule)))
        drawn = paths(comparison, molecule)
        if isinstance(drawn, str):
            missing.append(f"{molecule}: paths are not drawn, {drawn}.")
            continue
        drawings.append(svg(drawn[0]))
        numbers += drawn[1]
    text = (
        "fully-amortized is the same run without the switch. Paths are those of the first particles whose view "
        f"direction moved by {MOVED[0]:g} to {MOVED[1]:g} degrees after the switch, over the log posterior of the view "
        "direction about the last pose under the last map (gnomonic, black: most probable, white: 30 nats below). "
        + " ".join(missing)
    )
    return Section("Fig. 4 and 7: with and without the switch", text, drawings, {"fig_4_paths": numbers})
