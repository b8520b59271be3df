"""The interface that the two stages of a reconstruction have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from napari_cryospin.engine.proposers import Proposer
from napari_cryospin.engine.volume_steps import VolumeStep


class Stage(Protocol):
    """Steps of one fit, in one of the two stages."""

    @property
    def volume_step(self) -> VolumeStep:
        """Step that learns the volume of the fit."""

    @property
    def settled(self) -> bool:
        """Whether the fit has nothing more to gain in this stage."""

    def batch_size(self, wanted: int) -> int:
        """Return the number of particles in a step, given the `wanted` one of the settings."""

    def step(self, rows: Tensor) -> dict[str, float]:
        """Make one step on the particles `rows` `(b,)`, on the CPU. Return metrics, among them the loss."""

    def end_epoch(self) -> dict[str, float]:
        """Carry out the tasks at the end of an epoch. Return metrics."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs beside the fit."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state of the same stage."""


class FirstStage(Stage, Protocol):
    """Steps of one fit before the switch, or to the end of a method that has none."""

    @property
    def learners(self) -> Sequence[Proposer]:
        """Proposers that learn, and propose once more at the switch."""

    def begin_anew(self, volume_step: Any) -> None:
        """Go on with a map that was turned: by a volume step that remembers nothing of how it lay before."""
