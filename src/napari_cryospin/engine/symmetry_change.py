"""The change of a fit's symmetry while a run goes on: the map and all that lies in its frame are turned together.

A symmetry is imposed where the map has its axes. They are found, map and poses are turned so that the axes lie where
the convention wants them, and poses are brought into one asymmetric unit. What the heads have learned stays: their
proposals are turned from then on. A symmetry is relaxed by spreading the poses over its copies, which are equally
right, so that the views of a map without symmetry cover all directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cryospin.engine.audit import AUDIT_PADDING, MATE_STEPS, OtherFold, volume_at_poses
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.near_symmetry import NearSymmetries
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.evaluation.found_symmetry import (
    NEAR_SCORE,
    FoundSymmetry,
    SymmetryReport,
    score_about,
    symmetric_map,
    symmetry_of_map,
)
from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.evaluation.map_alignment import apply_alignment
from napari_cryospin.geometry.symmetry import NO_SYMMETRY, PointGroup
from napari_cryospin.models.volume import Volume
from napari_cryospin.runs.messages import RefusedError

FOLDS_AGREE = 0.5
"""FSC of the two folds down to which their symmetry is looked for: what the map really has."""


class TurnedFrame(NamedTuple):
    """The axes in which a map is to lie, as they lie in it now."""

    axes: Tensor  # (3, 3)
    centre: Tensor  # (3,) Angstrom

    @classmethod
    def of(cls, found: FoundSymmetry, fit: Fit) -> TurnedFrame:
        """Return the axes of a symmetry; particles that are centred keep their centre."""
        turn, shift = (torch.from_numpy(part).float().to(fit.device) for part in (found.rotation, found.shift))
        return cls(turn.mT, -turn.mT @ shift * fit.shift_range.looked_for)

    def turned(self, density: Tensor, extent: float) -> NDArray[np.float32]:
        """Turn a map of so many Angstrom, so that it lies in these axes."""
        turn, centre = self.axes.mT.double().cpu().numpy(), self.centre.double().cpu().numpy()
        pixel_size = extent / len(density)
        return apply_alignment(density.cpu().numpy(), turn, -turn @ centre, pixel_size, oversampling=2)


@dataclass(frozen=True)
class SymmetryChange:
    """A change of a run's symmetry.

    Attributes
    ----------
    before, after : str
        Names of the groups.
    found : tuple of FoundSymmetry
        Of each fit, how its map had the new group; empty where a symmetry was relaxed.
    gain : float
        By how much the symmetric map explains held-out images better than the plain one, nats an image, in the half for
        which it is less; nan where a symmetry was relaxed.
    note : str
        What was done, in words, where neither was the map as it stands symmetrised nor a symmetry relaxed.
    """

    before: str
    after: str
    found: tuple[FoundSymmetry, ...] = ()
    gain: float = math.nan
    note: str = ""

    @property
    def score(self) -> float:
        """Least score of the fits; nan where a symmetry was relaxed."""
        return min((each.score for each in self.found), default=math.nan)

    @property
    def text(self) -> str:
        """What was done, in words."""
        if self.note:
            return self.note
        if not self.found:
            return f"{self.before} relaxed"
        return f"{self.after} imposed (the map had it with a score of {self.score:.2f}; {gain_text(self.gain)})"


def gain_text(gain: float) -> str:
    """Say by how much held-out images fit the map better that was averaged over a group, nats an image."""
    better = "better" if gain >= 0 else "worse"
    return f"images fit the map averaged so {better} by {abs(gain):.1f} nats each"


def symmetry_of_fit(fit: Fit, group: str | None = None, volume: Volume | None = None) -> SymmetryReport:
    """Find which symmetry the map of a fit looks like, or how well it has one group.

    Parameters
    ----------
    fit : Fit
        Nothing of it is written.
    group : str, optional
        The one group to look at.
    volume : Volume, optional
        Volume to look at. Default: one of all particles at their present poses, which is right at any moment.
    """
    volume = volume_at_poses(fit, fit.band.now) if volume is None else volume
    first, second, resolution = _told_by_folds(fit, volume)
    return symmetry_of_map(first, fit.images.extent / len(first), group, second=second, resolution=resolution)


def _told_by_folds(fit: Fit, volume: Volume) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Return the maps of both folds, and down to what their symmetry is looked for, Angstrom."""
    folds = volume.fold_maps()
    first, second = (part.cpu().numpy() for part in folds or (volume.band_map(), volume.band_map()))
    resolution = fit.images.extent / volume.band
    if folds is not None:
        resolution = max(resolution, fsc(first, second, fit.images.extent / len(first)).resolution(FOLDS_AGREE))
    return first, second, resolution


def placed_symmetry(fit: Fit, group: str) -> FoundSymmetry:
    """Return how the map of a fit has a group; with several classes, that of all particles together.

    Raises
    ------
    RefusedError
        It does not have it, not even nearly, or its symmetry cannot be told; or a class does not have it about the
        same axes.
    """
    report = symmetry_of_fit(fit, group)
    if report.best is None:
        raise RefusedError(report.obstacle or f"the map {report.candidates[0].text}")
    for view in fit.views:
        score = _score_of_class(view, report.best)
        if not score >= NEAR_SCORE:
            found = "cannot be told" if math.isnan(score) else f"has a score of {score:.2f}"
            where = f"the symmetry {group} of class {_number_of(view)} about the axes of all classes together {found}"
            raise RefusedError(f"{where}; expected {NEAR_SCORE:g} in every class: go on with one of them alone")
    return report.best


def _number_of(view: Fit) -> int:
    """Return the number of a class, from 1."""
    return 1 + (view.number or 0)


def _score_of_class(view: Fit, found: FoundSymmetry) -> float:
    first, second, resolution = _told_by_folds(view, volume_at_poses(view, view.band.now))
    band = min(round(view.images.extent / resolution), len(first) // 2 - 1)
    return score_about(first, second, view.images.extent / len(first), found, band)


def check_turnable(fit: Fit) -> None:
    """Refuse a change of the symmetry where the volume cannot take over a map that was turned.

    Raises
    ------
    RefusedError
        The volume is an implicit one.
    """
    if not fit.volume.takes_maps:
        raise RefusedError("the volume is an implicit one, a network that no turned map can replace")


@torch.no_grad()
def impose(fit: Fit, found: FoundSymmetry, group: PointGroup) -> None:
    """Turn everything that lies in the frame of a fit's maps, and give these a symmetry.

    A volume that is made of images is to be made anew from their poses.
    """
    frame = TurnedFrame.of(found, fit)
    turned = [frame.turned(view.volume.to_map(), fit.images.extent) for view in fit.classes]
    fit.particles.turn(frame.axes, frame.centre)
    if fit.encoder is not None:
        fit.encoder.turn(frame.axes, frame.centre)
    fit.class_starts = [torch.from_numpy(frame.turned(each, fit.images.extent)) for each in fit.class_starts]
    _take_group(fit, group, [torch.from_numpy(each).to(fit.device) for each in turned])


@torch.no_grad()
def relax(fit: Fit) -> None:
    """Let a fit's maps be without symmetry from now on."""
    _take_group(fit, NO_SYMMETRY, [view.volume.to_map() for view in fit.classes])


def _take_group(fit: Fit, group: PointGroup, densities: Sequence[Tensor]) -> None:
    fit.particles.change_group(fit.symmetry, group, fit.generator)
    fit.near_symmetries = NearSymmetries.of(group, fit.device)
    for view, density in zip(fit.classes, densities, strict=True):
        view.volume.symmetry = group
        view.volume.take_map(density)
        view.near_symmetries = fit.near_symmetries


@torch.no_grad()
def held_out_gain(fit: Fit, found: FoundSymmetry) -> float:
    """Return by how much a symmetric map explains images better that it was made without, nats an image.

    A sample of each fold's particles is compared with the map of the other fold alone, as it is and averaged over the
    group, at the refined pose in each. Nothing of the fit is written.
    """
    volume = volume_at_poses(fit, fit.band.now)
    frame = TurnedFrame.of(found, fit)
    gains = [_gain(OtherFold(fit, volume, fold), found, frame) for fold in (0, 1)]
    return float(torch.cat(gains).mean())


def _gain(fold: OtherFold, found: FoundSymmetry, frame: TurnedFrame) -> Tensor:
    fit, batch = fold.fit, fold.batch()
    rotations, shifts = fit.poses(batch)
    turned, moved = rotations @ frame.axes, shifts - rotations[:, :2] @ frame.centre
    plain = frame.turned(fold.density, fit.images.extent)
    errors = []
    for each in (plain, symmetric_map(plain, found.name)):
        lattices = fold.volume.gradient_lattices(torch.from_numpy(each).to(fit.device))
        start = turned, fit.shift_range.used(moved)
        errors.append(refine_poses(lattices, batch, *start, padding=AUDIT_PADDING, steps=MATE_STEPS)[2])
    return errors[0] - errors[1]
