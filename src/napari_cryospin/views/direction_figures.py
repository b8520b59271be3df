"""Figures of a run's particles over the sphere of view directions: which views are in doubt, wrong, or full of junk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.evaluation.head_maps import grid_for
from napari_cryospin.geometry.angles import angle_between
from napari_cryospin.geometry.sphere_cells import pixel_of
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.views.sphere_pictures import prepare_sphere_map
from napari_cryospin.views.truth import TOO_FEW_AGREE, true_rotations

FigureOfDirections = Literal["uncertainty", "error", "class", "junk"]
LARGEST_ERROR = 90.0  # degrees, end of the scale of errors
NO_FIGURE: dict[FigureOfDirections, str] = {
    "uncertainty": "this run computes no uncertainties",
    "error": "true poses of these particles are not known",
    "class": "this run has one class",
    "junk": "this run does not estimate which images show the particle",
}
"""Figure -> why a run does not have it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DirectionFigure:
    """A figure over the sphere of view directions at the end of an epoch.

    Attributes
    ----------
    figure : str
        `uncertainty`: geometric mean of the number of likely poses (the exponential of the entropy); `error`: mean
        rotation error, degrees; `class`: share of each class, per cent; `junk`: share of images that do not show the
        particle, per cent.
    epoch : int
        Number of epochs that were finished.
    names : tuple of str
        Name of each map: one that is empty, or those of the classes.
    values : ndarray
        `(maps, cells)` on a HEALPix grid, ring order; nan where no particle is seen.
    levels : tuple of float, optional
        Ends of the scale, where they are the same for every run.
    note : str
        Why there are no values; empty if there are.
    """

    figure: FigureOfDirections
    epoch: int
    names: tuple[str, ...] = ()
    values: NDArray[np.float64]
    levels: tuple[float, float] | None = None
    note: str = ""


def direction_figure(
    folder: RunFolder, epoch: int, figure: FigureOfDirections, half: int, truth: Path | None
) -> DirectionFigure:
    """Average a figure of the particles in each cell of view directions; this takes a while.

    Parameters
    ----------
    folder
        The run.
    epoch
        Epoch that has a history.
    figure
        What is averaged.
    half
        Half set of the particles, 1 or 2; 0: there are no half sets.
    truth
        File with true poses; None: the truth is not known.

    Raises
    ------
    FileNotFoundError, ValueError
        The epoch has no history, or it or the truth cannot be read.
    """
    file = folder.history(epoch)
    record = file.particles("entropy", "belongs", "class_number", "class_probability").of_half(half)
    nside = grid_for(len(record))
    cells = pixel_of(record.rotations[:, 2], nside)
    prepare_sphere_map(nside)
    names: tuple[str, ...] = ("",)
    levels: tuple[float, float] | None = None
    values: NDArray[Any] | None = None if record.entropy is None else record.entropy[None]
    if figure == "error":
        values, levels = pose_errors(folder, record, truth), (0.0, LARGEST_ERROR)
        values = None if values is None else values[None]
        if values is None and truth is not None:
            return DirectionFigure(figure=figure, epoch=epoch, values=np.zeros((0, 12)), note=TOO_FEW_AGREE)
    elif figure == "class":
        count = file.classes
        numbers = np.arange(1, count + 1)[:, None]
        values = None if record.class_number is None else 100.0 * (record.class_number == numbers)
        names, levels = tuple(f"class {number}" for number in range(1, count + 1)), (0.0, 100.0)
    elif figure == "junk":
        values, levels = None if record.belongs is None else 100 * (1 - record.belongs[None]), (0.0, 100.0)
    if values is None or not np.isfinite(values).any():
        return DirectionFigure(figure=figure, epoch=epoch, values=np.zeros((0, 12)), note=NO_FIGURE[figure])
    means = np.stack([mean_in_cells(one, cells, 12 * nside**2) for one in np.asarray(values, np.float64)])
    if figure == "uncertainty":
        means = np.exp(means)
        levels = (1.0, float(max(10.0, np.nanmax(means))))
    return DirectionFigure(figure=figure, epoch=epoch, names=names, values=means, levels=levels)


def mean_in_cells(values: NDArray[np.float64], cells: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Average `(n,)` values in each of `count` cells; nan where there is none, and values that are nan do not count."""
    known = np.isfinite(values)
    sums = np.bincount(cells[known], values[known], minlength=count)
    numbers = np.bincount(cells[known], minlength=count)
    return np.divide(sums, numbers, out=np.full(count, np.nan), where=numbers > 0)


def pose_errors(folder: RunFolder, record: ParticleRecord, truth: Path | None) -> NDArray[np.float64] | None:
    """Measure how far each particle's rotation is from the true one, modulo the run's point group.

    Returns
    -------
    ndarray or None
        `(n,)` degrees; None: the truth is not known, or too few poses agree with it.
    """
    true = None if truth is None else true_rotations(folder, record, truth)
    return None if true is None else angle_between(record.rotations, true)
