"""Growth of a fit's band beyond the planned one, while its posterior asks for it (`engine.growth` has the rule)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.growth import agreed_band, asks_for_more
from napari_cryospin.engine.kept_state import CONSTANT, KeptState
from napari_cryospin.engine.subdivision import DIVIDED_BAND
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.engine.volumes import wiener_volume
from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.models.volume import Volume


@dataclass(eq=False)
class BandGrowth(KeptState):
    """Growth of one fit's band in the first stage.

    Attributes
    ----------
    fit : Fit
    entropies : list of float
        Median entropy of the particles at the end of each epoch with the present band, nats.
    """

    fit: Fit[Volume] = field(metadata=CONSTANT)
    entropies: list[float] = field(default_factory=list)

    @property
    def most(self) -> int:
        """Largest band that it may grow to: what the finest grid resolves, or where the settings stop it."""
        volume, band = self.fit.settings.volume, self.fit.band
        may_grow = volume.grow_further and volume.encoding_resolution is None
        return min(DIVIDED_BAND, band.full) if may_grow else band.encoding

    def end_epoch(self) -> None:
        """Let the band of the first stage grow as far as the folds agree, if the posterior asks for it."""
        band = self.fit.band
        if not band.encoding_reached or band.encoding >= self.most:
            return
        self.entropies.append(float(self.fit.particles.entropy.nanmedian()))
        if not asks_for_more(self.entropies):
            return
        agreed = agreed_band(fold_correlation(self.fit, self.most), band.now, self.most)
        if agreed > band.now:
            band.encoding, self.entropies = agreed, []


@torch.no_grad()
def fold_correlation(fit: Fit[Volume], band: int) -> list[float]:
    """Compute the FSC of the two folds' averages at their present poses, up to a band (shells) of any size.

    The averages are not filtered: the mask would spread what a filter leaves of the inner shells over the outer ones.
    Their radial averages are left out: those of a hollow particle agree however its images are turned. Nothing of the
    fit is written, and nothing is drawn from its generator.
    """
    volume = wiener_volume(fit.images, fit.volume_settings, band, torch.Generator().manual_seed(0))
    WienerStep(fit, volume).remake(band)
    first, second = (without_radial_average(part.cpu().numpy()) for part in volume.fold_maps(filtered=False))
    return fsc(first, second, fit.images.extent / len(first)).values[: band + 1].tolist()


def without_radial_average(density: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract from an `(n, n, n)` map the mean over the points at (nearly) the same distance from its centre."""
    line = np.arange(len(density)) - len(density) // 2
    distance = np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + line**2).round().astype(int)
    count = np.bincount(distance.ravel())
    mean = np.bincount(distance.ravel(), density.ravel()) / np.maximum(count, 1)
    return density - mean[distance].astype(density.dtype)
