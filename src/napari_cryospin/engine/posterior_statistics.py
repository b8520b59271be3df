"""Statistics of every particle's pose posterior, which other programs expect beside a pose."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.pose_posterior import log_likelihoods, make_templates
from napari_cryospin.engine.sampling import grid_size, pose_grid, trial_shifts
from napari_cryospin.physics.slicing import shift_phases

STATISTICS_BAND = 11
"""Largest number of shells that are compared, which are those that the grid of the first stage resolves."""
SIGNIFICANT_SHARE = 0.999
"""Share of the probability that the significant samples hold together (RELION's adaptive fraction)."""
LIKELY_SAMPLES = 512
"""Number of samples that hold this share for nearly all particles; for the others, all samples are sorted. Chosen by
hand."""
STATISTICS_BATCH = 256
"""Number of particles at a time; chosen by hand."""


@torch.no_grad()
def posterior_statistics(fits: Sequence[Fit]) -> dict[str, NDArray]:
    """Compute the statistics of the posteriors over the pose grid, of rotations and of shifts about the stored ones.

    The rotations are those of the map's asymmetric unit. Of a view, only particles of its class have figures.

    Returns
    -------
    dict
        `(n,)` each: entropy (nats, over rotations), max_probability (of a sample: a rotation and a shift),
        significant_samples (how many hold 99.9 % of the probability), log_likelihood (of the image's coefficients
        within the band, all poses summed over).
    """
    parts = [_of_classes(fit) for fit in fits]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}


def _of_classes(fit: Fit) -> dict[str, Tensor]:
    """Compute the statistics of all particles of a fit, each under the map of its class."""
    first, *others = (_statistics(view) for view in fit.classes)
    for view, found in zip(fit.classes[1:], others, strict=True):
        for name, values in first.items():
            values[view.members] = found[name][view.members]
    return first


def _statistics(fit: Fit) -> dict[str, Tensor]:
    band, count = min(fit.band.now, STATISTICS_BAND), len(fit)
    found = {name: torch.full((count,), torch.nan) for name in ("entropy", "max_probability", "log_likelihood")}
    found["significant_samples"] = torch.zeros(count, dtype=torch.int32)
    templates = None
    for batch in fit.batches(STATISTICS_BATCH, band):
        rows = batch.rows
        if templates is None:
            rotations = pose_grid(*grid_size(band, fit.symmetry)).to(fit.device)
            rotations = rotations[fit.symmetry.in_unit(rotations)]
            lattice, padding = fit.volume.hartley(band), fit.projector.padding
            templates = make_templates(lattice, rotations, batch.points, padding, band=band)
        phases = None
        if fit.shift_range.looked_for:
            trial, about_stored = trial_shifts(fit, band)
            centre = fit.poses(batch)[1][:, None] if about_stored else trial.new_zeros(len(rows), 1, 2)
            phases = shift_phases(centre + trial, batch.points, batch.extent)
        values = log_likelihoods(templates, batch.images, batch.ctf, batch.weights, phases)  # (b, t, k)
        peak = values.amax((1, 2), keepdim=True)
        probability = values.sub_(peak).exp_()
        total = probability.sum((1, 2), keepdim=True)
        probability.div_(total)
        turned = probability.sum(1)  # (b, k)
        found["entropy"][rows] = -torch.xlogy(turned, turned).sum(-1).cpu()
        # The log-likelihoods leave out |image|^2 / N and the constant of the normal distribution, which are added here.
        own = ((batch.weights / math.pi).log() - batch.images.abs().square() * batch.weights).sum(-1)
        mean = (total.log() + peak).flatten() - math.log(values[0].numel())
        found["log_likelihood"][rows] = (mean + own).cpu()
        probability = probability.flatten(1)
        found["max_probability"][rows] = probability.amax(-1).cpu()
        found["significant_samples"][rows] = significant_samples(probability).int().cpu()
    return found


def significant_samples(probability: Tensor) -> Tensor:
    """Return the number of the most probable samples that hold 99.9 % of `(b, k)` probabilities, `(b,)`."""
    few = probability.topk(min(LIKELY_SAMPLES, probability.shape[-1])).values
    counts = _needed(few)
    spread = counts > few.shape[-1]
    if bool(spread.any()):
        counts[spread] = _needed(probability[spread].sort(descending=True).values)
    return counts.clamp(max=probability.shape[-1])


def _needed(descending: Tensor) -> Tensor:
    """Return how many of the first probabilities reach the share, `(b,)`; one more than there are if they do not."""
    return (descending.double().cumsum(-1) < SIGNIFICANT_SHARE).sum(-1) + 1
