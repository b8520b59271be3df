"""The probability that an image shows the particle of the map, and nothing else.

Four hypotheses compete for each image, the pose being the best that is known: it shows the particle; noise alone; some
other object; or the particle with another object over it. "Some other object" is a field of independent Gaussian
coefficients whose power, shell by shell, is that of the map or a multiple of it: as strong as a particle, with the
CTF of its image, but without its features. A lump of ice, a broken particle or a neighbour is explained better by that
field than by any projection of the map. With an image `I`, its model `m`, the noise variance `N` and `V = N + C^2 P`
for a power `P`, the logarithms of the odds against noise alone are, summed over the half plane,

    particle             (|I|^2 - |I - m|^2) / N - pose
    other object         |I|^2 (1 / N - 1 / V) - log(V / N)
    particle and object  |I|^2 / N - |I - m|^2 / V - log(V / N) - pose

where `pose` is the price of choosing the best of all distinguishable poses. The shares of the hypotheses among all
images are estimated together with the probabilities (expectation maximisation).

The model is as strong as fits the image best. Where no particle is, that is what the best of many poses explains of
noise or of a lump: a fraction of a particle's scale. The scales of particles are much alike, so that the hypotheses
with a particle also have the probability of the measured scale `o / p` (`engine.signal_scales`), whose error has the
variance `v = 1 / 2p`, among the scales of all particles: normal, with a mean and a variance `t` that are estimated as
the shares are. Against the scale that fits best, that is

    -(o / p - mean)^2 / (2 (t + v)) - log((t + v) / v) / 2
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.physics.slicing import central_slices

POSE_PRICE = 12.0
"""Nats: logarithm of the number of poses that an image tells apart, some hundred thousand (a few degrees, a pixel)."""
POWERS = (0.3, 1.0, 3.0)
"""Power of another object, in units of the particle's; chosen by hand."""
BELONGING_BAND = 15
"""Shells that are compared at most. Junk differs from particles in its coarse features: on simulated stacks with junk,
neighbours and uneven ice, the area under the curve is 0.97 with 11 and 15 shells, and 0.95 with all 31."""
SHARE_ROUNDS = 30
"""Rounds in which the shares of the hypotheses are estimated; they converge in about ten."""
LEAST_TRUSTED = 0.2
"""Mean probability of belonging below which images are not weighed by it: most images are junk, or the map is wrong,
and a map of the few images that fit it would never become another one. Chosen by hand."""


HYPOTHESES = 2 + 2 * len(POWERS)
"""Number of hypotheses that compete."""
WITH_PARTICLE = (0, *range(2 + len(POWERS), HYPOTHESES))
"""Those that have the particle in the image."""
POWER_VIEWS = 50
"""Number of random views over which the power of the map's slices is averaged; chosen by hand."""


def slice_power(lattice: Tensor, padding: int, points: Tensor, shell: Tensor) -> Tensor:
    """Compute the mean squared size `(p,)` of a map's slices, shell by shell.

    Parameters
    ----------
    lattice : Tensor
        `(G, G, G)` Hartley lattice.
    padding : int
        Oversampling of the lattice.
    points, shell : Tensor
        `(p, 2)` half-plane points, and `(p,)` int64 their shells.
    """
    views = random_rotations(POWER_VIEWS, torch.Generator().manual_seed(0)).to(lattice.device)
    square = central_slices(lattice, views, points, padding).abs().square().mean(0)
    sums = square.new_zeros(len(square)).index_add_(0, shell, square)  # Shells are fewer than points.
    number = torch.zeros_like(sums).index_add_(0, shell, torch.ones_like(square))
    return (sums / number)[shell]


def hypothesis_odds(images: Tensor, models: Tensor, ctf: Tensor, weights: Tensor, power: Tensor, kept: float) -> Tensor:
    """Compute the logarithms of the odds of all hypotheses against noise alone.

    Parameters
    ----------
    images, models : Tensor
        `(b, p)` complex: images, and their models at the best poses.
    ctf, weights : Tensor
        `(b, p)`: scale times CTF, and inverse noise variance of unmasked images.
    power : Tensor
        `(p,)` mean squared size of the map's slices.
    kept : float
        Share of the noise that the mask leaves in a coefficient.

    Returns
    -------
    Tensor
        `(b, 2 + 2 k)`: the particle, noise alone, the `k` powers of another object, and the same over the particle.
    """
    image, rest = images.abs().square(), (images - models).abs().square()
    weights = weights / kept  # masked noise has a smaller variance
    gain = ((image - rest) * weights).sum(-1) * kept  # masked coefficients are fewer than they seem
    found = [gain - POSE_PRICE, torch.zeros_like(gain)]
    for seen, extra in ((image, torch.zeros_like(gain)), (rest, gain - POSE_PRICE)):
        for factor in POWERS:
            ratio = 1 + ctf.square() * power * factor * weights  # V / N
            found.append(extra + kept * (seen * weights * (1 - 1 / ratio) - ratio.log()).sum(-1))
    return torch.stack(found, dim=-1)


def belonging(odds: Tensor, overlap: Tensor | None = None, power: Tensor | None = None) -> Tensor:
    """Compute the probability `(n,)` of the first hypothesis; shares, and the scales of particles, are estimated.

    Parameters
    ----------
    odds : Tensor
        `(n, h)` logarithms of odds.
    overlap, power : Tensor, optional
        `(n,)` of each image with its model of scale 1, and of that model. Default: scales tell nothing.
    """
    found = odds.softmax(-1)
    for _ in range(SHARE_ROUNDS):
        share = found.mean(0).clamp(min=1e-6).log()
        evidence = odds + share
        if overlap is not None and power is not None:
            evidence[:, WITH_PARTICLE] += scale_evidence(overlap, power, found[:, 0])[:, None]
        found = evidence.softmax(-1)
    return found[:, 0]


def scale_evidence(overlap: Tensor, power: Tensor, belongs: Tensor) -> Tensor:
    """Compare the scale of each image with those of the particles, against the scale that fits the image best.

    Parameters
    ----------
    overlap, power : Tensor
        As of `belonging`.
    belongs : Tensor
        `(n,)` probability of belonging.

    Returns
    -------
    Tensor
        `(n,)` nats, at most 0.
    """
    power = power.clamp(min=1e-12)
    scale, error = overlap / power, 0.5 / power
    weight = belongs / belongs.sum().clamp(min=1e-12)
    mean = (weight * scale).sum()
    spread = (weight * ((scale - mean).square() - error)).sum().clamp(min=0)
    return -(scale - mean).square() / (2 * (spread + error)) - (1 + spread / error).log() / 2
