"""One class of a fit in the second stage: its volume, which is fixed within an epoch, and the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.belonging import slice_power
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.kept_state import KeptState
from napari_cryospin.engine.mates import MateTest
from napari_cryospin.engine.phases import DecodingStanding
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.models.wiener_volume import WienerVolume

MAP_MOMENTUM = 0.4
"""Factor on a relaxing map's last change, by which the map is extrapolated (Nesterov's momentum). Without it a twist of
the map falls by only a fifth to a quarter an epoch; with it, by about a third (docs/method.md, Near-symmetries)."""


@dataclass(eq=False)
class ClassMaps(KeptState):
    """Maps of one class in the second stage, beside its volume.

    Attributes
    ----------
    lattices : Tensor, optional
        `(4, G, G, G)` of the volume that is fixed in this epoch; None between two epochs.
    before : Tensor, optional
        `(m, m, m)` map of the epoch before, while the map relaxes.
    """

    lattices: Tensor | None = None
    before: Tensor | None = None


class ClassDecoding:
    """Steps of one class in the second stage in closed form.

    Parameters
    ----------
    fit : Fit
        View of the class, or the fit itself where there is only one.
    """

    def __init__(self, fit: Fit[WienerVolume]) -> None:
        self.fit = fit
        self.volume_step, self.poses = WienerStep(fit), GaussNewtonPoses(fit)
        self.mates = MateTest(fit, self.volume_step, self.poses) if fit.settings.posterior.mates else None
        self.maps = ClassMaps()
        self.power: Tensor | None = None  # Of this epoch's slices; it follows from the volume, and is not saved.

    @property
    def mates_tested(self) -> bool:
        """Whether the test of mates is over, or there is none."""
        return self.mates is None or self.mates.tally.over

    def lattices(self, standing: DecodingStanding) -> Tensor:
        """Return the lattices of this epoch's volume; at its first step, make them, and empty the sums for the next."""
        if self.maps.lattices is None:
            self.maps.lattices = self._open_epoch(standing)
        return self.maps.lattices

    def _open_epoch(self, standing: DecodingStanding) -> Tensor:
        """Make the lattices of this epoch's volume, and empty the sums for the next volume and its band."""
        volume, maps = self.fit.volume, self.maps
        density = volume.density
        if maps.before is not None and maps.before.shape == density.shape:
            density = density + MAP_MOMENTUM * (density - maps.before)
        # The map of the first epoch is no base for the extrapolation, because its poses were those at the switch.
        maps.before = volume.density if standing.relaxing and standing.epochs else None
        lattices = volume.gradient_lattices(density)
        volume.set_band(standing.next_band)
        volume.forget(0)
        return lattices

    def slice_power(self, lattices: Tensor, seen: Batch) -> Tensor:
        """Return the power of the slices of this epoch's volume, `(p,)`, at the points of a batch."""
        if self.power is None:
            shell = self.fit.noise.shell[: len(seen.points)]
            self.power = slice_power(lattices[0], self.fit.volume.padding, seen.points, shell)
        return self.power

    def close_epoch(self, *, relaxing: bool) -> None:
        """Forget the volume of the epoch that has ended; `relaxing`: whether the map still relaxes."""
        self.maps.lattices, self.power = None, None
        if not relaxing:
            self.maps.before = None

    def forget_map_before(self) -> None:
        """Forget the map of the epoch before, because the class has other particles now.

        The difference of the two maps is that of their particles, and no base for an extrapolation.
        """
        self.maps.before = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs beside the fit's."""
        mates = None if self.mates is None else self.mates.tally.state_dict()
        return {"maps": self.maps.state_dict(), "mates": mates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state of a class of this stage."""
        self.maps.load_state_dict(state["maps"], self.fit.device)
        if self.mates is not None:
            self.mates.tally.load_state_dict(state["mates"])
