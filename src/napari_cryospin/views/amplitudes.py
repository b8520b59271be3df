"""The amplitudes of a run's map against resolution, and the effect of a B-factor and a low-pass filter on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cryospin.evaluation.guinier import FROM, LEAST_SHELLS, guinier
from napari_cryospin.evaluation.map_filter import b_factor_factors, low_pass_factors
from napari_cryospin.io.mrc import read_map

FAINT_AMPLITUDE = 1e-4
"""If a filter keeps a smaller share of an amplitude than this, the amplitude is not drawn; chosen by hand."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MapAmplitudes:
    """Guinier plot of a run's map, and what the results say of its sharpening.

    Attributes
    ----------
    square : ndarray
        `(shells,)` squared frequency in 1/A^2, from the first shell on.
    log_amplitude : ndarray
        `(shells,)` logarithm of the mean amplitude.
    box_size : int
        Box of the map, pixels.
    pixel_size : float
        Angstrom.
    fsc : DataFrame, optional
        Frequency in 1/A and the curves of the half maps; None: there are no half sets.
    b_factor : float, optional
        A^2, the one that the results were sharpened with; None: the map was not sharpened.
    resolution : float, optional
        Angstrom; None: not known.
    gold_standard : bool
        Whether the resolution is that of half sets.
    """

    square: NDArray[np.float64]
    log_amplitude: NDArray[np.float64]
    box_size: int
    pixel_size: float
    fsc: pd.DataFrame | None
    b_factor: float | None
    resolution: float | None
    gold_standard: bool

    @property
    def line(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Line of the Guinier fit over the shells that were fitted; None: there are too few of them."""
        end = self.resolution or np.inf
        fitted = (self.square >= 1 / FROM**2) & (self.square <= 1 / end**2)
        if self.b_factor is None or np.count_nonzero(fitted) < LEAST_SHELLS:
            return None
        x, y = self.square[fitted], self.log_amplitude[fitted]
        return x, y.mean() + self.b_factor / 4 * (x - x.mean())

    def sharpened(self, b_factor: float, low_pass: float) -> NDArray[np.float64]:
        """Return the logarithm of the amplitudes after filtering, `(shells,)`; nan beyond the low-pass.

        Parameters
        ----------
        b_factor
            A^2.
        low_pass
            Resolution of the low-pass filter, Angstrom.
        """
        factors = b_factor_factors(self.box_size, self.pixel_size, b_factor)
        passed = low_pass_factors(self.box_size, self.pixel_size, low_pass)
        with np.errstate(divide="ignore"):
            return self.log_amplitude + np.where(passed > FAINT_AMPLITUDE, np.log(factors * passed), np.nan)[1:]


def read_amplitudes(results: Path) -> MapAmplitudes | None:
    """Read the amplitudes of a run's results folder; None: there are no results yet."""
    if not (results / "postprocess.json").is_file():
        return None
    known = json.loads((results / "postprocess.json").read_text())
    density, pixel_size = read_map(results / "map.mrc")
    resolution = known["resolution_angstrom"]
    if (results / "guinier.csv").is_file():
        table = pd.read_csv(results / "guinier.csv")
        square, log_amplitude = table["square"].to_numpy(), table["log_amplitude"].to_numpy()
    else:
        plot = guinier(density, pixel_size, resolution or 2 * pixel_size)
        square, log_amplitude = plot.square, plot.log_amplitude
    return MapAmplitudes(
        square=square,
        log_amplitude=log_amplitude,
        box_size=len(density),
        pixel_size=pixel_size,
        fsc=pd.read_csv(results / "fsc.csv") if (results / "fsc.csv").is_file() else None,
        b_factor=known["b_factor"],
        resolution=resolution,
        gold_standard=known["gold_standard"],
    )
