"""The table of methods: a method is one row that names its parts.

`napari_cryospin.methods` describes each method for settings, command line and window, without torch; a row here adds
the parts that compute. To add a method, `register` one row: settings, flags and forms then offer it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from napari_cryospin import methods as descriptions
from napari_cryospin.engine.auto_decoding import ClosedFormDecoding, GradientDecoding
from napari_cryospin.engine.auto_encoding import AutoEncoding
from napari_cryospin.engine.bands import Band, BandSchedule, Stairs
from napari_cryospin.engine.expectation_maximisation import ExpectationMaximisation
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.hierarchical_search import HierarchicalSearch
from napari_cryospin.engine.proposers import Heads, PosteriorSample, Proposer, StoredPose
from napari_cryospin.engine.stage import FirstStage, Stage
from napari_cryospin.engine.switching import MakePolicy, policy_of
from napari_cryospin.engine.volume_steps import SoftStep, VolumeStep, WholeAverage, volume_step
from napari_cryospin.io.pose_fields import lacking_poses
from napari_cryospin.methods import MethodDescription
from napari_cryospin.settings import VolumeSettings


def heads_and_sample(fit: Fit) -> list[Proposer]:
    """Make the proposers of the heads and, if the settings ask for it, of the posterior sample."""
    return [Heads(fit), *([PosteriorSample(fit)] if fit.settings.posterior.posterior_sample else [])]


def sample_alone(fit: Fit) -> list[Proposer]:
    """Make the proposer of the posterior sample, without heads."""
    return [PosteriorSample(fit)]


def coarse_to_fine(fit: Fit) -> list[Proposer]:
    """Make the proposer that searches from coarse to fine."""
    return [HierarchicalSearch(fit)]


def known_poses(fit: Fit) -> list[Proposer]:
    """Give a fit the poses of the particles' file, and make the proposer that proposes nothing else.

    Raises
    ------
    ValueError
        The file has no poses.
    """
    particles, rows = fit.images.particles, fit.images.rows.numpy()
    if (lacking := lacking_poses(particles, shifts=fit.shift_range.looked_for)) is not None:
        raise ValueError(f"{particles.source}: {lacking}")
    assert particles.rotations is not None
    rotations = torch.from_numpy(particles.rotations[rows]).float()
    shifts = torch.zeros(len(rows), 2)
    if fit.shift_range.looked_for and particles.shifts is not None:
        shifts = torch.from_numpy(particles.shifts[rows]).float()
    fit.particles.record_poses(torch.arange(len(fit)), rotations.to(fit.device), shifts.to(fit.device))
    return [StoredPose(fit)]


def step_at_known_poses(fit: Fit) -> VolumeStep:
    """Make a volume step for poses that stay as they are."""
    return WholeAverage(fit) if fit.settings.volume.volume_update == "wiener" else volume_step(fit)


POSE_UPDATES: dict[str, Callable[[Fit[Any]], Stage]] = {"adam": GradientDecoding, "gauss-newton": ClosedFormDecoding}
"""Classes of the second stage, by the setting `pose_update`."""


def direct_refinement(fit: Fit) -> Stage:
    """Make the second stage that the settings ask for."""
    return POSE_UPDATES[fit.settings.schedule.pose_update](fit)


def auto_encoding(method: Method, fit: Fit) -> AutoEncoding:
    """Make the first stage in which candidates compete."""
    schedule = method.band_schedule(fit.settings.volume, fit.band)
    return AutoEncoding(fit, method.proposers(fit), method.volume_step(fit), schedule)


def soft_to_the_end(method: Method, fit: Fit) -> ExpectationMaximisation:
    """Make the stage in which no pose is chosen."""
    return ExpectationMaximisation(fit, SoftStep(fit))


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method as its parts.

    Attributes
    ----------
    description : MethodDescription
        Name, help and requirements on the settings.
    proposers : callable
        Maker of a fit's proposers in the first stage.
    volume_step : callable
        Maker of a fit's volume step in the first stage.
    band_schedule : callable
        Maker of the first stage's band schedule from the settings of the volume and the band of the fit.
    switch : callable, optional
        Maker of the switch policy from the settings of the schedule; None: there is no second stage.
    second_stage : callable
        Maker of a fit's second stage.
    stage : callable
        Maker of a fit's first stage from the method and the fit.
    """

    description: MethodDescription
    proposers: Callable[[Fit], Sequence[Proposer]]
    volume_step: Callable[[Fit], VolumeStep] = volume_step
    band_schedule: Callable[[VolumeSettings, Band], BandSchedule] = Stairs.of
    switch: MakePolicy | None = policy_of
    second_stage: Callable[[Fit], Stage] = direct_refinement
    stage: Callable[[Method, Fit], FirstStage] = auto_encoding

    def __post_init__(self) -> None:
        if self.description.has_switch != (self.switch is not None):
            raise ValueError(f"method {self.description.name}: description and row differ on whether it switches")

    def first_stage(self, fit: Fit) -> FirstStage:
        """Make the first stage of a fit."""
        return self.stage(self, fit)


METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Add a method to the table. Its name is then a valid setting.

    Raises
    ------
    ValueError
        Another method has this name.
    """
    name = method.description.name
    if name in METHODS:
        raise ValueError(f"method {name}: there is one of this name already")
    descriptions.declare(method.description)
    METHODS[name] = method


def unregister(name: str) -> None:
    """Remove a method from the table."""
    del METHODS[name]
    descriptions.withdraw(name)


register(Method(description=descriptions.CRYOSPIN, proposers=heads_and_sample))
register(Method(description=descriptions.FULLY_AMORTIZED, proposers=heads_and_sample, switch=None))
register(Method(description=descriptions.SEARCH, proposers=sample_alone))
register(
    Method(
        description=descriptions.EM, proposers=sample_alone, volume_step=SoftStep, switch=None, stage=soft_to_the_end
    )
)
register(Method(description=descriptions.CRYOPOSENET, proposers=heads_and_sample, switch=None))
register(Method(description=descriptions.CRYOAI, proposers=heads_and_sample, switch=None))
register(Method(description=descriptions.CRYOAI_EXPLICIT, proposers=heads_and_sample, switch=None))
register(Method(description=descriptions.HIERARCHICAL, proposers=coarse_to_fine, switch=None))
register(
    Method(description=descriptions.KNOWN_POSES, proposers=known_poses, volume_step=step_at_known_poses, switch=None)
)
