"""The Fourier shell correlation of a run's half maps: of its results, or of an epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.fsc_files import read_fsc_csv
from napari_cryospin.views.curves import Lines, newest_line


@dataclass(frozen=True, kw_only=True, eq=False)
class HalfMapFsc:
    """Fourier shell correlation of the half maps.

    Attributes
    ----------
    curves : mapping
        `(shells,)` arrays: frequency in 1/A, and the curves unmasked, masked, phase_randomised and corrected, as far as
        they are known. Empty: there are no half sets, or they were not compared yet.
    resolution : float, optional
        Angstrom, where the corrected curve falls below 0.143; None: not known.
    epoch : int, optional
        Epoch at whose end the halves were compared; None: the curves are those of the results.
    notes : tuple of str
        Warnings about how far the curves can be trusted.
    """

    curves: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    resolution: float | None = None
    epoch: int | None = None
    notes: tuple[str, ...] = ()


def results_fsc(results: Path) -> HalfMapFsc:
    """Read FSC and resolution from a results folder; what the folder lacks is left empty."""
    curves, figures = results / "fsc.csv", results / "postprocess.json"
    known = json.loads(figures.read_text()) if figures.exists() else {}
    return HalfMapFsc(
        curves=dict(read_fsc_csv(curves)) if curves.exists() else {},
        resolution=known.get("resolution_angstrom"),
        notes=tuple(known.get("notes", ())),
    )


def epoch_fsc(metrics: Lines, epoch: int | None = None) -> HalfMapFsc:
    """Return the newest FSC of a run's metrics, of all lines or of those up to the end of an epoch."""
    line = newest_line(metrics, "fsc", epoch)
    if line is None:
        return HalfMapFsc()
    warning = line.get("half_sets_warning")
    return HalfMapFsc(
        curves={name: np.array(values, dtype=np.float64) for name, values in line["fsc"].items()},
        resolution=line.get("resolution"),
        epoch=line.get("epoch"),
        notes=(warning,) if warning else (),
    )
