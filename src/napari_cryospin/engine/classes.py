"""The classes of a fit: several maps in one run, each made of the particles that are in its class.

All classes share one frame. A run with several classes goes through its first stage with one map, an average over all
classes; at the switch the particles are dealt to classes at random, and sorted from then on (`engine.class_sorting`).
Poses, encoder, near-symmetries and the switch are therefore those of one run, and a particle that changes its class
keeps its pose, which a refinement adapts: no search is needed. Maps that began from random values of their own would
each come out in another frame, and often in another hand.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.models.wiener_volume import WienerVolume

LEAST_SHARE = 0.03
"""Share of the particles below which a class is dead: of a few thousand particles, too few for a map. Chosen by
hand."""
OFFERED_SHARE = 0.5
"""Particles that a dead class is offered, over those of a class of average size; chosen by hand."""


def class_shares(fit: Fit) -> Tensor:
    """Compute the share of each class among the particles, `(classes,)`, on the fit's device.

    One particle is added to each class, so that no share is 0. Images count by how much they are trusted.
    """
    trust = fit.particles.trust[:, None]
    weight = (fit.particles.class_probability * trust).sum(0) + 1
    return weight / weight.sum()


def class_counts(fit: Fit) -> list[int]:
    """Count the particles in each class."""
    return torch.bincount(fit.particles.classes, minlength=len(fit.classes)).tolist()


def dead_class(fit: Fit) -> int | None:
    """Return the smallest class, from 0, if it has too few particles for a map, or none in one of the folds."""
    counts = class_counts(fit)
    number = counts.index(min(counts))
    view = fit.classes[number]
    alive = min(len(view.fold_members(fold)) for fold in (0, 1)) > 0
    return None if alive and counts[number] >= LEAST_SHARE * len(fit) else number


@torch.no_grad()
def split(fit: Fit[WienerVolume], count: int) -> None:
    """Deal the particles to so many classes at random, and make the map of each class from its particles."""
    fit.set_classes([fit.volume, *(copy.deepcopy(fit.volume) for _ in range(count - 1))])
    fit.particles.set_class_count(count)
    everyone = torch.randperm(len(fit), generator=fit.generator)
    fit.particles.record_classes(everyone.to(fit.device), (torch.arange(len(fit)) % count).to(fit.device))
    remake_classes(fit)


@torch.no_grad()
def remake_classes(fit: Fit[WienerVolume], band: int | None = None) -> None:
    """Make the maps of all classes anew from their particles at their present poses, in this or another band."""
    for view in fit.classes:
        WienerStep(view).remake(band)


@torch.no_grad()
def drop_class(fit: Fit[WienerVolume], number: int) -> int:
    """Take a class out: each of its particles goes to the most probable of the others, and later classes move up.

    Returns
    -------
    int
        Number of particles that were in the class.
    """
    particles = fit.particles
    left = torch.tensor([k for k in range(len(fit.classes)) if k != number], device=fit.device)
    homeless = (particles.classes == number).nonzero()[:, 0]
    probability = particles.class_probability[:, left]
    particles.record_classes(homeless, left[probability[homeless].argmax(1)])
    numbers = torch.arange(len(fit.classes), device=fit.device)
    _join(fit, numbers - (numbers >= max(number, 1)).long(), keep=left.tolist())
    certain = probability.sum(1, keepdim=True).clamp(min=1e-12)
    particles.record_class_probability(torch.arange(len(fit), device=fit.device), probability / certain)
    return len(homeless)


@torch.no_grad()
def merge_classes(fit: Fit[WienerVolume], first: int, second: int) -> None:
    """Make one class of two; it has the number of the first of them, and later classes move up."""
    low, high = sorted((first, second))
    numbers = torch.arange(len(fit.classes), device=fit.device)
    numbers = torch.where(numbers == high, low, numbers - (numbers > high).long())
    _join(fit, numbers, keep=[k for k in range(len(fit.classes)) if k != high])


def _join(fit: Fit[WienerVolume], numbers: Tensor, keep: list[int]) -> None:
    """Renumber the classes, keep the volumes of some of them, and make these anew."""
    volumes = [fit.classes[number].volume for number in keep]
    fit.particles.renumber_classes(numbers)
    fit.set_classes(volumes)
    remake_classes(fit, fit.band.now)


@torch.no_grad()
def offer(fit: Fit[WienerVolume], number: int) -> int:
    """Offer the place of a dead class to the particles that are explained worst, and make all maps anew.

    Images that are not trusted to show the particle are offered nothing.

    Returns
    -------
    int
        Number of particles that are in the class then.
    """
    particles = fit.particles
    wanted = max(1, int(OFFERED_SHARE * len(fit) / len(fit.classes)))
    error = particles.error.to(fit.device).nan_to_num(0) * (particles.trust > 0.5)
    particles.record_classes(error.topk(wanted).indices, torch.tensor(number, device=fit.device))
    remake_classes(fit)
    return wanted
