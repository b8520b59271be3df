"""Fig. 5 and 8: candidates of cryoAI and of four heads on the posterior, their projections, and shares of the heads."""

from __future__ import annotations

from benchmarks.paper.drawing import COLOURS, Comparison, Section, svg
from benchmarks.paper.rows import TrueRun
from benchmarks.paper.tables import Run, Table
from benchmarks.paper.time_figures import against_time
from matplotlib.figure import Figure

from napari_cryospin.geometry.angles import euler_from_rotation
from napari_cryospin.views.posterior.particle_posterior import ParticlePosterior

PAIR = ("cryoai", "cryospin-4-heads")
PARTICLES = (0, 1, 2)
"""Rows of the particles that are drawn: the first ones, so that none is picked."""


def encoding_epoch(run: Run) -> int | None:
    """Return the last kept epoch in which heads proposed candidates; None: there is none."""
    return max((row["epoch"] for row in run["rows"] if row["stage"] == "auto-encoding"), default=None)


def sphere_of(posterior: ParticlePosterior, method: str) -> Figure:
    """Draw a particle's posterior over the sphere with its candidates."""
    figure = posterior.plot()
    figure.axes[0].set_title(f"{method}, particle {posterior.particle + 1}", fontsize=10)
    figure.axes[1].set_ylabel("nats below the maximum", fontsize=8)
    figure.set_size_inches(5.4, 2.6)
    return figure


def projections_of(posterior: ParticlePosterior, method: str) -> Figure:
    """Draw a particle's image beside the map's projections at its candidates, at the best pose and at the true one."""
    assert posterior.detail is not None
    shown, compared = posterior.detail.shown, posterior.detail.comparison
    pictures = {"image": compared.particle}
    pictures |= {one.title: picture for one, picture in zip(shown, compared.projections, strict=True)}
    figure = Figure(figsize=(0.95 * len(pictures), 1.55), layout="constrained")
    for axes, (name, picture) in zip(figure.subplots(1, len(pictures)), pictures.items(), strict=True):
        axes.imshow(picture, cmap="gray", origin="lower")
        axes.set_title(name, fontsize=7)
        axes.set_axis_off()
    figure.suptitle(f"{method}, particle {posterior.particle + 1}", fontsize=9)
    return figure


def shares_figure(run: TrueRun, epoch: int, method: str) -> tuple[Figure, Table]:
    """Draw the per cent of the particles that each head won in an epoch."""
    shares = (
        100 * run.view.head_shares(epoch)[:-1]
    )  # The last one is that of a posterior sample, of which there is none.
    figure = Figure(figsize=(3.4, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.bar([str(head + 1) for head in range(len(shares))], shares, color=COLOURS[method])
    axes.set(title=f"{method}, epoch {epoch}", xlabel="head", ylabel="share of the images (%)")
    return figure, [[method, head + 1, float(share)] for head, share in enumerate(shares)]


def candidates_of(posterior: ParticlePosterior, method: str) -> Table:
    """List method, particle, pose, rot, tilt, psi in degrees, and the log-likelihood against the best of them."""
    assert posterior.detail is not None
    compared, rows = posterior.detail.comparison, []
    for number, one in enumerate(posterior.detail.shown):
        angles = map(float, euler_from_rotation(one.rotation))
        rows.append([method, posterior.particle + 1, one.title, *angles, float(compared.log_likelihood[number])])
    return rows


def figure_5(comparison: Comparison) -> Section:
    """Draw the first molecule of the scale."""
    title, molecule = "Fig. 5 and 8: candidates of cryoAI and of four heads", comparison.molecules[0]
    candidates: Table = [["method", "particle", "pose", "rot", "tilt", "psi", "log-likelihood below the best (nats)"]]
    shares: Table = [["method", "head", "share (%)"]]
    epochs = {method: encoding_epoch(run) for method in PAIR if (run := comparison.first(method, molecule))}
    known = {method: epoch for method, epoch in epochs.items() if epoch is not None}
    if not known:
        return Section(title, f"Not drawn: no run of {' or '.join(PAIR)} on {molecule} has ended an epoch.")
    runs = {method: comparison.with_truth(comparison.first(method, molecule)) for method in known}
    drawings = []
    for particle in PARTICLES:
        posteriors = {method: run.view.posterior(particle, known[method]) for method, run in runs.items()}
        drawings += [svg(sphere_of(posterior, method)) for method, posterior in posteriors.items()]
        drawings += [svg(projections_of(posterior, method)) for method, posterior in posteriors.items()]
        candidates += [line for method, posterior in posteriors.items() for line in candidates_of(posterior, method)]
    for method, run in runs.items():
        bars, rows = shares_figure(run, known[method], method)
        drawings.append(svg(bars))
        shares += rows
    drawings.append(against_time(comparison, molecule, "resolution", PAIR))
    text = (
        f"{molecule}, first seed, at the end of the first stage or of the time given: the log posterior of the view "
        "direction under each run's own map, with the numbered candidates (the winner ringed in red), the run's pose "
        "(star) and, where enough poses agree with it, the truth (cross). cryoAI's two candidates are those of the "
        "image and of its half-turned copy. Projections are filtered by the CTF and low-passed like the image."
    )
    return Section(title, text, drawings, {"fig_5_candidates": candidates, "fig_5_shares": shares})
