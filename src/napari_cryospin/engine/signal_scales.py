"""The scale of the signal in each image: how strong the particle stands in it, relative to the others.

Images are normalised to noise of unit variance, so that a different dose, ice or detector shows as a different strength
of the signal. Beside the pose it is the only free number of an image: the model is `scale * CTF * slice`, and with the
overlap `o = sum w Re(I conj m)` and the power `p = sum w |m|^2` of an image `I` and its model `m` of scale 1, the
likelihood falls as `exp(-p (scale - o / p)^2)`. One image tells little. Its scale is therefore drawn towards that of
its micrograph, and a micrograph's towards that of its optics group, by how much they really differ (empirical Bayes).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_cryospin.engine.images import PreparedImages

SMALLEST_SCALE, LARGEST_SCALE = 0.05, 20.0
"""Range of scales, relative to their mean of 1; chosen by hand, far beyond what dose, ice and detectors differ by."""
SIGNIFICANT_OVERLAP = 10.0
"""Overlap of all images with their models, in standard deviations of what noise gives, from which scales are estimated
from it; chosen by hand. A volume that is random still says nothing of scales."""
FIRST_SHELL, LAST_SHELL = 2, 11
"""Shells whose power tells the first scales: inside are ramps and the mean, outside is little but noise."""


def shrunk(values: Tensor, variances: Tensor, means: Tensor) -> Tensor:
    """Draw values towards their means, by how much they differ beyond their own variances.

    Parameters
    ----------
    values, variances, means : Tensor
        `(u,)` each: estimates, the variances of their errors, and the means of what they are to be drawn towards.

    Returns
    -------
    Tensor
        `(u,)` expectations under a normal prior of one variance, which is estimated by the method of moments.
    """
    precision = 1 / variances
    scatter = (precision * (values - means).square()).sum() - len(values)
    spread = (scatter / precision.sum()).clamp(min=0)
    return (values * spread + means * variances) / (spread + variances).clamp(min=1e-30)


def estimate_scales(overlap: Tensor, power: Tensor, levels: Sequence[Tensor]) -> Tensor | None:
    """Estimate the scales from how images and their models overlap.

    Parameters
    ----------
    overlap, power : Tensor
        `(n,)` each, of models of scale 1, in units of the noise; nan: not known.
    levels : sequence of Tensor
        `(n,)` int64 each: the group that each particle belongs to, coarse groups first (`engine.signal_groups`).

    Returns
    -------
    Tensor or None
        `(n,)` of mean 1; None where the overlap of all images is no larger than noise gives.
    """
    known = ~(overlap.isnan() | power.isnan())
    overlap, power = overlap.where(known, overlap.new_zeros(())), power.where(known, power.new_zeros(()))
    if float(overlap.sum()) < SIGNIFICANT_OVERLAP * float((power.sum() / 2).sqrt()):
        return None
    means = (overlap.sum() / power.sum()).expand_as(overlap)
    for level in levels:
        over, of = _sums(overlap, level), _sums(power, level)
        seen = of > 0
        value = over / of.clamp(min=1e-30)
        above = _sums(means, level) / _sums(torch.ones_like(means), level).clamp(min=1)
        new = above.clone()
        new[seen] = shrunk(value[seen], 0.5 / of[seen], above[seen])
        means = new[level]
    return _of_mean_one(means)


def first_scales(images: PreparedImages, levels: Sequence[Tensor]) -> Tensor:
    """Estimate the scales of groups before there is a map, from the power of their images above that of the noise.

    Parameters
    ----------
    images : PreparedImages
    levels : sequence of Tensor
        As of `estimate_scales`.

    Returns
    -------
    Tensor
        `(n,)` of mean 1, the same within each of the finest groups.
    """
    inside = (images.shell >= FIRST_SHELL) & (images.shell <= LAST_SHELL)
    count = int(inside.nonzero().max()) + 1
    chosen = inside[:count].nonzero()[:, 0]
    noise = images.noise[:, images.shell[chosen]].double() * float(images.mask.square().mean())  # of masked images
    excess, factor = torch.zeros(len(images), dtype=torch.double), torch.zeros(len(images), dtype=torch.double)
    for rows in torch.arange(len(images)).split(images.chunk):
        power = images.coefficients(rows, count).cpu()[:, chosen].abs().square().double()
        excess[rows] = (power - noise[images.noise_group[rows]]).sum(-1)
        factor[rows] = images.ctf(rows, count).cpu()[:, chosen].square().sum(-1).double()
    squares = (excess.sum() / factor.sum()).expand_as(excess)
    # Twice that of independent coefficients, because a mask makes neighbours alike.
    variance = 2 * noise.square().sum(-1)[images.noise_group]
    for level in levels:
        of = _sums(factor, level)
        above = _sums(squares, level) / _sums(torch.ones_like(squares), level)
        squares = shrunk(_sums(excess, level) / of, _sums(variance, level) / of.square(), above)[level]
    return _of_mean_one(squares.clamp(min=0).sqrt().float())


def _sums(values: Tensor, group: Tensor) -> Tensor:
    return values.new_zeros(int(group.max()) + 1).index_add_(0, group, values)


def _of_mean_one(scales: Tensor) -> Tensor:
    mean = scales.mean()
    if not float(mean) > 0:
        return torch.ones_like(scales)
    return (scales / mean).clamp(SMALLEST_SCALE, LARGEST_SCALE)
