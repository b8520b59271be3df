"""The classes of a fit as they begin, at the switch: dealt at random, or each from a map of its own.

Where each class starts from its own map, the first stage has one map all the same, which starts from their mean: one
encoder, one set of poses, one switch. At the switch every particle is compared with the map of each class as it was
given, at the pose that it has, and at the best one of a search of the whole grid under that map. So a class may be
another molecule, of which the mean shows little.

Junk differs from particles by more than the particles of two states differ from each other. Dealt out with them it
would make a class of its own, and the states would stay together. So it is told from particles before classes are made,
in the map of all, and counts for little in the maps of the classes from the start.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.belonging import BELONGING_BAND, slice_power
from napari_cryospin.engine.classes import remake_classes, split
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.losses import take
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.reference import reference_band
from napari_cryospin.engine.sampling import PoseSearch
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import band_size


def begin_classes(fit: Fit[WienerVolume], count: int) -> None:
    """Make so many classes of the particles, and say so among the news of the fit."""
    if fit.settings.posterior.junk:
        tell_junk(fit)
    if fit.class_starts:
        split_by_maps(fit)
        how = f"sorted into {count} classes by the map that each starts from, and go on being sorted"
    else:
        split(fit, count)
        how = f"dealt to {count} classes at random, and are sorted from now on"
    fit.news.append(_split_news(count, f"{len(fit):,} particles were {how}"))


def _split_news(classes: int, reason: str) -> dict[str, Any]:
    return {"change": "split", "classes": classes, "reason": reason}


@torch.no_grad()
def tell_junk(fit: Fit[WienerVolume]) -> None:
    """Estimate with what probability each image shows the particle of the present map, at its present pose."""
    fit.update_scales(particles_differ=True)
    points = band_size(fit.images.points, min(fit.band.now, BELONGING_BAND))
    volume, shell = fit.volume, fit.noise.shell[:points]
    power = slice_power(volume.hartley(), volume.padding, fit.projector.points[:points], shell)
    for batch in fit.batches():
        model = fit.project(batch, *fit.poses(batch))
        fit.record_errors(batch, model)
        fit.record_odds(batch.inner(points), model[:, :points], power)
    fit.update_belonging()


@torch.no_grad()
def split_by_maps(fit: Fit[WienerVolume]) -> None:
    """Give each particle the class, of maps that the fit starts from, and the pose that explain it best.

    Shares do not count yet, because none is known. The map of each class is then made from its particles.
    """
    band = reference_band(fit)
    fit.set_classes([_started(fit.volume, density, band) for density in fit.class_starts])
    fit.particles.set_class_count(len(fit.classes))
    searches = [_SearchInClass(view, band) for view in fit.classes]
    for batch in fit.batches(band=band):
        found = [search.best(batch) for search in searches]
        rotations, shifts, errors = (torch.stack(column, dim=1) for column in zip(*found, strict=True))
        chosen = errors.argmin(1)
        fit.particles.record_class_probability(batch.where, (-errors).softmax(1))
        fit.particles.record_classes(batch.where, chosen)
        fit.particles.record_poses(batch.where, take(rotations, chosen), take(shifts, chosen))
    remake_classes(fit, fit.band.now)
    fit.class_starts = []


def _started(volume: WienerVolume, density: Tensor, band: int) -> WienerVolume:
    made = copy.deepcopy(volume)
    made.set_band(band)
    made.take_map(density.to(made.sums))
    return made


class _SearchInClass:
    """Search for the best pose under the map of one class."""

    def __init__(self, view: Fit[WienerVolume], band: int) -> None:
        self.view, self.poses = view, GaussNewtonPoses(view)
        self.search, self.lattices = PoseSearch(view, band=band), view.volume.gradient_lattices()

    def best(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return pose and error of each particle: of its own pose and of the one found, refined, the better."""
        found = self.search.best(batch)
        own = self.poses.refine(self.lattices, batch, *self.view.poses(batch))
        other = self.poses.refine(self.lattices, batch, found.rotations, found.shifts)
        rotations, shifts, errors = (torch.stack(pair, dim=1) for pair in zip(own, other, strict=True))
        better = errors.argmin(1)
        return take(rotations, better), take(shifts, better), errors.amin(1)
