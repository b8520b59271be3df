"""A reconstruction that starts from a map: its volume, its band, and the scale of the map in the images.

The volume stays the reference until every particle was looked at once; see `Fit.holds_reference`. Where each class
starts from a map of its own, the volume of the first stage starts from their mean (`engine.class_starts`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.advice import Advice
from napari_cryospin.engine.belonging import slice_power
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import image_errors
from napari_cryospin.engine.sampling import COARSE_GRID_BAND, PoseSearch
from napari_cryospin.engine.signal_scales import FIRST_SHELL, LAST_SHELL
from napari_cryospin.engine.used_rows import evenly_spread
from napari_cryospin.evaluation.found_symmetry import (
    FEWEST_TELLING_SHELLS,
    NEAR_SCORE,
    FoundSymmetry,
    score_about,
    symmetry_of_map,
)
from napari_cryospin.models.volume import Volume

log = logging.getLogger(__name__)

POWER_PARTICLES = 2000
"""Particles from whose power the scale is told: a few per cent, where their noise is 20 times their signal."""
SIGN_PARTICLES = 200
"""Particles that are compared with the reference and with its negative; chosen by hand."""
SIGN_MARGIN = 4.0
"""Standard errors by which the images must tell a reference from its negative; chosen by hand."""


@dataclass(frozen=True)
class SignLead:
    """How much better images are explained by a map than by its negative, each at its best pose.

    Attributes
    ----------
    mean, error : float
        Mean lead an image and its standard error, nats.
    """

    mean: float
    error: float


@torch.no_grad()
def start_from(fit: Fit[Volume], densities: Sequence[Tensor]) -> list[str]:
    """Make a map `(n, n, n)` in the fit's box, or the mean of the maps of all classes, the volume from which it starts.

    Returns
    -------
    list of str
        What the user should know.

    Raises
    ------
    ValueError
        The images show the negative of a map, or its symmetry has other axes than those that are expected.
    """
    fit.band.now = reference_band(fit)
    fit.volume.set_band(fit.band.now)
    names = fit.settings.start.reference_paths
    notes, scaled = [], [_scaled(fit, each.to(fit.device)) for each in densities]
    for name, density in zip(names, scaled, strict=True):
        notes.append(_axes_judged(fit, density, str(name)))
        lead = sign_lead(fit, density)
        log.info("%s: %d shells; ahead of its negative by %.1f nats an image", name, fit.band.now, lead.mean)
        notes.append(_judged(lead, str(name)))
    fit.volume.take_map(torch.stack(scaled).mean(0))
    fit.class_starts = [each.cpu() for each in scaled] if len(scaled) > 1 else []
    return [note for note in notes if note]


def reference_band(fit: Fit[Volume]) -> int:
    """Return the band, shells, in which images are compared with a reference."""
    supported = int(fit.images.extent / fit.settings.start.reference_resolution)
    return min(max(fit.band.now, supported), fit.band.encoding)


def _scaled(fit: Fit[Volume], density: Tensor) -> Tensor:
    """Return a map `(n, n, n)` as strong as the signal in the images. The volume is then the map."""
    density = density / density.abs().max()
    fit.volume.take_map(density)
    return density * signal_scale(fit)


def _judged(lead: SignLead, name: str) -> str:
    """Refuse the negative of a map. Return a warning where images tell neither."""
    margin = SIGN_MARGIN * lead.error
    if lead.mean < -margin:
        found = f"{name}: its negative explains the images better, by {-lead.mean:.1f} nats an image"
        expected = "expected bright protein in map and images: multiply the map by -1, or invert the images' contrast"
        raise ValueError(Advice(f"{found}; {expected}", "invert_contrast"))
    if lead.mean < margin:
        return f"{name}: the images fit this map no better than its negative: is it a map of these particles?"
    return ""


def _axes_judged(fit: Fit[Volume], density: Tensor, name: str) -> str:
    """Refuse a map that has the run's symmetry about other axes. Return a warning where it does not have it at all.

    The run averages the map over the group about these axes: about others, nothing would be left of it.
    """
    group = fit.symmetry.name
    if fit.symmetry.trivial or fit.band.now < FEWEST_TELLING_SHELLS:
        return ""
    map_here, pixel_size = density.cpu().numpy(), fit.images.extent / len(density)
    placed = FoundSymmetry(name=group, score=math.nan, baseline=math.nan, rotation=np.eye(3), shift=np.zeros(3))
    score = score_about(map_here, map_here, pixel_size, placed, fit.band.now)
    if math.isnan(score) or score >= NEAR_SCORE:
        return ""
    found = f"{name}: about the axes as they should lie, the map has the symmetry {group} with a score of {score:.2f}"
    best = symmetry_of_map(map_here, pixel_size, group, resolution=fit.images.extent / fit.band.now).best
    if best is None:
        return f"{found}; it is averaged over the group nevertheless"
    told = f"{found}, and about others with {best.score:.2f}"
    expected = "expected RELION's axes, through the middle of the box"
    raise ValueError(f"{told}; {expected}: turn the map with the command `napari-cryospin symmetry`")


def signal_scale(fit: Fit[Volume]) -> float:
    """Return the factor by which the volume must be multiplied to be as strong as the signal in the images.

    It is told by the power of the images above that of noise, which does not depend on poses, in the innermost shells.
    Where there is hardly any such power, it is what chance gives.
    """
    images, last = fit.images, min(fit.band.now, LAST_SHELL)
    batch = fit.batch(evenly_spread(len(fit), POWER_PARTICLES), last)
    shell = fit.noise.shell[: len(batch.points)]
    chosen = shell >= min(FIRST_SHELL, last)
    noise = float(images.mask.square().mean()) / batch.weights  # of masked images
    excess = (batch.images.abs().square() - noise)[:, chosen].sum(1).double()
    power = slice_power(fit.volume.hartley(last).detach(), fit.volume.padding, batch.points, shell)
    expected = (batch.ctf.square() * power)[:, chosen].sum(1).double()
    chance = float(excess.std()) / math.sqrt(len(batch))
    return math.sqrt(max(float(excess.mean()), chance) / float(expected.mean()))


def sign_lead(fit: Fit[Volume], density: Tensor) -> SignLead:
    """Compare images with a map `(n, n, n)` and with its negative. The volume is then the one or the other."""
    band = min(fit.band.now, COARSE_GRID_BAND)
    batch = fit.batch(evenly_spread(len(fit), SIGN_PARTICLES), band)
    errors = []
    for sign in (1, -1):
        fit.volume.take_map(sign * density)
        found = PoseSearch(fit, band=band).best(batch)
        models = fit.project(batch, found.rotations, found.shifts)[:, None]
        errors.append(image_errors(models, batch.images, batch.weights)[:, 0])
    lead = errors[1] - errors[0]
    return SignLead(float(lead.mean()), float(lead.std()) / math.sqrt(len(lead)))
