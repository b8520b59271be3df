"""The result of a run in a page: verdict, resolution with its caveat, view directions, particles, what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.engine.readiness import SWITCH_ENTROPY
from napari_cryospin.evaluation.conical_fsc import conical_fsc
from napari_cryospin.evaluation.orientation_bias import (
    EVEN_EFFICIENCY,
    EVEN_RATIO,
    POOR_EFFICIENCY,
    SIDE_VIEWS,
    OrientationBias,
)
from napari_cryospin.evaluation.orientation_efficiency import orientation_efficiency
from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.results import Results
from napari_cryospin.runs.verdict import NOT_DETERMINED
from napari_cryospin.symmetry_names import LOOKS_SYMMETRIC
from napari_cryospin.views.map_thumbnail import map_thumbnail

Tone = Literal["good", "doubtful", "plain"]
JUNK_WORTH_LEAVING_OUT = 0.05
"""Share of images that show no particle from which it is proposed to leave them out; chosen by hand."""
MOST = 0.5
"""Share of particles from which the run counts as sure of them; chosen by hand."""
BELONGS = 0.5
"""Probability below which an image counts as junk."""
JUDGED = 20_000
"""Largest number of particles, drawn at random, of which the spread of views is computed; chosen by hand."""
UNSURE_VIEWS = "not known, as the poses are not determined"
SUMMARY_PICTURE = 220
"""Pixels of the map's picture."""


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """A line of the summary.

    Attributes
    ----------
    name, text : str
        What it is about, and what is so.
    tone : str
        Whether that is good, doubtful, or neither.
    about : str
        How it is measured, and what is good and bad.
    """

    name: str
    text: str
    tone: Tone = "plain"
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Something to do next, and why or how."""

    text: str
    how: str


@dataclass(frozen=True, kw_only=True, eq=False)
class RunSummary:
    """The result of a run in a page.

    Attributes
    ----------
    name : str
        Name of the run's folder.
    verdict : str
        The verdict in one sentence.
    tone : str
        Whether it is good, doubtful or neither.
    rows : tuple of SummaryRow
        What was measured.
    suggestions : tuple of Suggestion
        What to do next, the most useful first.
    picture : ndarray
        `(size, size, 4)` picture of the map.
    """

    name: str
    verdict: str
    tone: Tone
    rows: tuple[SummaryRow, ...]
    suggestions: tuple[Suggestion, ...]
    picture: NDArray[np.uint8]

    @property
    def text(self) -> str:
        """The summary as plain text, without the picture."""
        width = max(len(row.name) for row in self.rows)
        lines = [self.name, f"Verdict: {self.verdict}", ""]
        lines += [f"{row.name:{width}}  {row.text}" for row in self.rows]
        lines += ["", "What next:", *(f"- {one.text}: {one.how}" for one in self.suggestions)]
        return "\n".join(lines)


def run_summary(folder: RunFolder, results: Results, *, flipped: bool = False) -> RunSummary:
    """Summarise the results of a run.

    Parameters
    ----------
    folder
        Folder of the run.
    results
        Its results.
    flipped
        Whether to draw the map in the other hand.
    """
    bias = bias_of(results)
    verdict = results.verdict
    tone: Tone = "plain" if verdict is None else "doubtful" if verdict.doubts else "good"
    if verdict is not None and verdict.kind == "open":
        tone = "plain"
    density = flip_hand(results.filtered_map) if flipped else results.filtered_map
    return RunSummary(
        name=folder.path.name,
        verdict="not known: of a version without verdicts" if verdict is None else verdict.sentence,
        tone=tone,
        rows=tuple(_rows(results, bias)),
        suggestions=tuple(_suggestions(folder, results, bias)),
        picture=map_thumbnail(density, SUMMARY_PICTURE),
    )


def bias_of(results: Results) -> OrientationBias:
    """Judge the spread of the view directions, with those of symmetric copies, and the half maps' agreement."""
    # It imports healpy, which takes a second.
    from napari_cryospin.evaluation.orientation_distribution import orientation_distribution

    rotations = results.particles.rotations
    some = rotations[np.random.default_rng(0).permutation(len(rotations))[:JUDGED]]
    copies = (some[:, None] @ group_matrices(results.symmetry)).reshape(-1, 3, 3)
    box = len(results.map)
    resolution = results.resolution if math.isfinite(results.resolution) else 4 * results.pixel_size
    spread = orientation_distribution(copies, min(box / 2, box * results.pixel_size / resolution))
    efficiency = orientation_efficiency(copies)
    if len(results.half_maps) < 2:
        return OrientationBias(compensation=spread.compensation, efficiency=efficiency)
    first, second = results.half_maps
    ratio = conical_fsc(first, second, results.mask, results.band).area_ratio
    return OrientationBias(compensation=spread.compensation, efficiency=efficiency, area_ratio=ratio)


# Rows


def _rows(results: Results, bias: OrientationBias) -> Iterator[SummaryRow]:
    yield _resolution(results)
    yield _directions(bias, sure=results.verdict is None or results.verdict.tells_resolution)
    yield from _sureness(results, doubts=results.verdict is not None and results.verdict.doubts)
    yield from _belonging(results)
    if results.classes:
        yield SummaryRow(name="Classes", text=_classes(results), about="Share of the particles in each class.")
    if results.symmetry != "C1" or results.looks_like:
        yield SummaryRow(name="Symmetry", text="; ".join(filter(None, (results.symmetry, results.looks_like))))
    used = f"{len(results.particles):,}, after {results.epoch} epochs, {results.stage}"
    yield SummaryRow(name="Particles", text=used)


def _resolution(results: Results) -> SummaryRow:
    about = "Where the Fourier shell correlation falls below 0.143."
    if results.verdict is not None and results.verdict.kind == NOT_DETERMINED:
        text = "not told, as the poses are not determined"
        return SummaryRow(name="Resolution", text=text, tone="doubtful", about=about)
    if not math.isfinite(results.resolution):
        return SummaryRow(name="Resolution", text="not known", about=about)
    caveat = "half maps, gold standard" if results.half_maps else "no half sets: a guide only, and rather too good"
    return SummaryRow(name="Resolution", text=f"{results.resolution:.1f} Å ({caveat})", about=about)


def _directions(bias: OrientationBias, *, sure: bool) -> SummaryRow:
    text = f"{bias.sentence if sure else UNSURE_VIEWS} (SCF* {bias.compensation:.2f}, E_od {bias.efficiency:.2f}"
    text += "" if bias.even_map is None else f", cFAR {bias.area_ratio:.2f}"
    about = (
        f"SCF* (Baldwin & Lyumkis 2020): 1 for an even spread, {SIDE_VIEWS:.2f} for side views only; below that the "
        f"views are biased. E_od (Naydenova & Russo 2017): 1 for an even spread, 0 for a single view; "
        f"{EVEN_EFFICIENCY:g} or more is good, below {POOR_EFFICIENCY:g} some directions are resolved much less well. "
        f"cFAR, of half maps: the smallest over the largest area beneath the correlations within cones; below "
        f"{EVEN_RATIO:g} the map is worse in some directions."
    )
    tone: Tone = ("good" if bias.good else "doubtful") if sure else "plain"
    return SummaryRow(name="Views", text=text + ")", tone=tone, about=about)


def _sureness(results: Results, *, doubts: bool) -> Iterator[SummaryRow]:
    entropy, precision = results.particles.entropy, results.particles.precision
    known = None if entropy is None else entropy[~np.isnan(entropy)]
    if known is not None and len(known):
        share = float((known <= SWITCH_ENTROPY).mean())
        text = f"{100 * share:.0f} % of the particles"
        if share > MOST and precision is not None and np.isfinite(precision).any():
            text += f"; a sure pose is known to {np.nanmedian(precision):.1f}°"
        about = "Particles for which less than two poses are likely (posterior entropy of at most 0.5 nats)."
        # Sure of one of two mates is not sure of the pose.
        tone: Tone = "doubtful" if share <= MOST else "plain" if doubts else "good"
        yield SummaryRow(name="Sure of", text=text, tone=tone, about=about)


def _belonging(results: Results) -> Iterator[SummaryRow]:
    share = junk_share(results)
    if share is not None:
        about = "Images that rather show noise, another object, or two particles: probability to belong below 0.5."
        yield SummaryRow(name="Junk", text=f"{100 * share:.0f} % of the images", about=about)


def junk_share(results: Results) -> float | None:
    """Return the share of images that rather show no particle; None: the run did not estimate it."""
    belongs = results.particles.belongs
    return None if belongs is None else float((belongs < BELONGS).mean())


def _classes(results: Results) -> str:
    total = max(1, len(results.particles))
    shares = (f"{number}: {100 * len(one.particles) / total:.0f} %" for number, one in enumerate(results.classes, 1))
    return ", ".join(shares)


# What to do next


def _suggestions(folder: RunFolder, results: Results, bias: OrientationBias) -> Iterator[Suggestion]:
    verdict, place = results.verdict, folder.results_path
    if verdict is not None and verdict.doubts:
        text = "Make the poses sure first"
        yield Suggestion(text=text, how=f"with {', or '.join(verdict.next_steps)}")
    if verdict is None or verdict.tells_resolution:
        yield Suggestion(
            text="Refine in RELION or cryoSPARC",
            how=f"particles.star and map_filtered.mrc in {place}; Export writes .cs and a reference in their own box",
        )
    if not results.half_maps:
        how = "half sets in the Particles panel, then a new run: two independent maps that can be compared"
        yield Suggestion(text="Measure the resolution", how=how)
    if LOOKS_SYMMETRIC in results.looks_like:  # A near-symmetry must not be imposed: it would average different sides.
        how = f"{results.looks_like}: with it, the same particles give more signal"
        yield Suggestion(text="Impose the symmetry", how=how)
    share = junk_share(results)
    if share is not None and share > JUNK_WORTH_LEAVING_OUT:
        how = f"{100 * share:.0f} % are junk: Export leaves them out of what refines next (belongs > 0.5)"
        yield Suggestion(text="Drop the worst images", how=how)
    if not bias.good and (verdict is None or verdict.tells_resolution):
        how = "other grids, additives or a tilted stage give other views; no program can make up for them"
        yield Suggestion(text="Record more views", how=how)
    if verdict is not None and not verdict.doubts:
        how = "two seeds that agree are the best evidence that an ab-initio map is right"
        yield Suggestion(text="Run again with another seed", how=how)
