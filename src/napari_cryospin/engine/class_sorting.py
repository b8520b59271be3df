"""Sorting of particles into classes: for each particle, the comparison with the map of every class.

An image is a part of the map that it helped to make, which favours the class that it already is in. As in the test of
mates (`engine.mates`), the images of one fold are compared with maps that the other fold alone makes, and the folds
take turns. A particle's pose is refined in each class before the classes are compared: at the pose of its own class all
others would be at a disadvantage.

No more shells are compared than before the switch. Poses in finer ones are fitted to the noise of the class that a
particle is in, in both folds alike, and the larger class then wins (docs/classes.md, What was measured).

While maps are still poor, classes are drawn with their probability. Always taking the best would keep the particles in
the classes to which chance has dealt them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.engine.classes import class_shares
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import take
from napari_cryospin.engine.pose_posterior import sample
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.models.wiener_volume import WienerVolume

DECIDED = 0.9
"""Mean probability of the particles' most probable classes from which most particles are decided; chosen by hand."""


@torch.no_grad()
def sort_classes(fit: Fit[WienerVolume], poses: GaussNewtonPoses, *, draw: bool) -> float:
    """Sort all particles into the classes. The sums of the volumes are then those of the classes; none is solved.

    Parameters
    ----------
    fit : Fit
        With more than one class.
    poses : GaussNewtonPoses
    draw : bool
        Whether classes are drawn with their probability; else each particle goes to its most probable class.

    Returns
    -------
    float
        Share of the probability that moved from one class to another, mean over the particles.
    """
    decided = float(fit.particles.class_probability.amax(1).mean()) >= DECIDED
    before, shares = fit.particles.class_probability.clone(), class_shares(fit).log()
    for fold in (0, 1):
        maps = _maps_of_fold(fit, 1 - fold, decided=decided)
        lattices = [view.volume.gradient_lattices(each) for view, each in zip(fit.classes, maps, strict=True)]
        for view in fit.classes:
            view.volume.sums[fold] = 0
        for rows in fit.fold_members(fold).split(fit.settings.schedule.batch_size):
            _sort(fit, poses, rows, lattices, shares, draw=draw)
            insert(fit, rows)
    return float((fit.particles.class_probability - before).abs().sum(1).mean() / 2)


def _maps_of_fold(fit: Fit[WienerVolume], fold: int, *, decided: bool) -> list[Tensor]:
    """Make the map `(m, m, m)` of each class from the particles of one fold.

    Once most particles are decided, the maps are alike where the classes do not differ measurably: else the larger
    class, whose map has less noise, explains all particles better. Before, what differs is not measurable yet, and
    grows only if each class has a map of its own.
    """
    if not decided:
        return [view.volume.fold_average(fold) for view in fit.classes]
    together = torch.stack([view.volume.sums for view in fit.classes]).sum(0)
    return [view.volume.differing_fold_average(fold, together) for view in fit.classes]


def _sort(
    fit: Fit[WienerVolume], poses: GaussNewtonPoses, rows: Tensor, lattices: list[Tensor], shares: Tensor, *, draw: bool
) -> None:
    """Compare some particles with the maps of all classes, and record class, probabilities and the pose in a new one.

    A particle that keeps its class keeps its pose, which was refined against the map of both folds.
    """
    batch = fit.batch(rows, min(fit.band.now, fit.band.encoding))
    start = fit.poses(batch)
    found = [poses.refine(each, batch, *start) for each in lattices]
    rotations, shifts, errors = (torch.stack(column, dim=1) for column in zip(*found, strict=True))
    log_probability = shares - errors
    chosen = sample(log_probability, fit.generator) if draw else log_probability.argmax(1)
    moved = (chosen != fit.particles.classes[batch.where]).nonzero()[:, 0]
    fit.particles.record_class_probability(batch.where, log_probability.softmax(1))
    fit.particles.record_classes(batch.where, chosen)
    fit.particles.record_poses(batch.where[moved], take(rotations, chosen)[moved], take(shifts, chosen)[moved])


def insert(fit: Fit[WienerVolume], rows: Tensor) -> None:
    """Add particles to the sums of their classes at their present poses, in the present band."""
    for view in fit.classes:
        own = rows[(fit.particles.classes[rows.to(fit.device)].cpu() == view.number)]
        if len(own):
            batch = fit.batch(own)
            WienerStep(view).insert(batch, *fit.poses(batch))
