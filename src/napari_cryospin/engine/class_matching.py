"""The classes of two half sets, matched to each other, and classes whose maps look alike.

Half sets share nothing, so that each numbers its classes by itself. At the end, the averages over all classes are laid
on each other, and each class of the first half is matched to the class of the second whose map correlates best with
its own. A class that one half has and the other has not stays alone: it has results, but no half maps.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from napari_cryospin.engine.classes import class_shares
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.half_sets import align_halves
from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.evaluation.map_alignment import apply_alignment

ALIKE_MAPS = 0.99
"""Agreement of two classes' maps, over that of two maps of one thing with as much noise, from which they look alike;
chosen by hand."""
LEAST_RELIABLE = 0.5
"""Least FSC of the two folds of a class up to which its map is compared; chosen by hand."""


@dataclass(frozen=True)
class MatchedClasses:
    """Classes of a run.

    Attributes
    ----------
    views : list of list of Fit
        Views of each class: of half sets two, or one where the other half has no such class.
    numbers : list of ndarray
        `(classes,)` of each fit: the number in `views`, from 0, of each of its classes.
    """

    views: list[list[Fit]]
    numbers: list[NDArray[np.int64]]


def match_classes(fits: Sequence[Fit]) -> MatchedClasses:
    """Match the classes of two half sets, or list those of a single fit."""
    first = fits[0]
    numbers = np.arange(len(first.classes))
    if len(fits) == 1:
        return MatchedClasses([[view] for view in first.classes], [numbers])
    second = _numbers_in(fits[0], fits[1])
    views: list[list[Fit]] = [[] for _ in range(max(*second + 1, len(numbers)))]
    for fit, own in zip(fits, (numbers, second), strict=True):
        for view, number in zip(fit.classes, own, strict=True):
            views[number].append(view)
    return MatchedClasses(views, [numbers, second])


def _numbers_in(first: Fit, second: Fit) -> NDArray[np.int64]:
    """Return the number in the first fit of each class of the second; those without a partner follow after the last."""
    pixel_size = first.images.pixel_size
    ours, theirs = ([view.volume.to_map().detach().cpu().numpy() for view in fit.classes] for fit in (first, second))
    means = [
        np.einsum("k,kzyx->zyx", class_shares(fit).cpu().numpy(), np.stack(maps)).astype(np.float32)
        for fit, maps in ((first, ours), (second, theirs))
    ]
    found = align_halves(means[0], means[1], pixel_size, exact=False).alignment
    turned = [
        apply_alignment(each, found.rotation, found.shift, pixel_size, hand_flipped=found.hand_flipped)
        for each in theirs
    ]
    # What all classes share tells nothing of which is which, and so is subtracted.
    mean = np.mean([*ours, *turned], axis=0)
    correlation = np.array([[_correlation(one - mean, other - mean) for one in ours] for other in turned])
    rows, columns = linear_sum_assignment(-correlation)
    numbers = np.full(len(theirs), -1)
    numbers[rows] = columns
    alone = numbers < 0
    numbers[alone] = len(ours) + np.arange(alone.sum())
    return numbers


def _correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / scale if scale > 0 else 0.0


def alike_classes(views: Sequence[Fit]) -> list[tuple[int, int]]:
    """List the pairs of these classes, by their places, whose maps agree as well as two maps of one thing would."""
    folds = [[part.cpu().numpy() for part in view.volume.fold_maps(filtered=False)] for view in views]
    pairs = itertools.combinations(range(len(folds)), 2)
    return [(i, j) for i, j in pairs if likeness(folds[i], folds[j]) >= ALIKE_MAPS]


def likeness(first: Sequence[NDArray[np.floating]], second: Sequence[NDArray[np.floating]]) -> float:
    """Compare two classes by the maps `(m, m, m)` of their two folds.

    The FSC of two maps of one thing is the geometric mean of their reliabilities, which the folds of each tell. The
    particles of two classes are different ones, and so is the noise of their maps.

    Returns
    -------
    float
        FSC of the classes over the one expected of maps of one thing, mean over the shells that are reliable in both.
    """
    reliable = [_reliability(folds) for folds in (first, second)]
    correlation = fsc(first[0] + first[1], second[0] + second[1], 1.0).values
    least = 2 * LEAST_RELIABLE / (1 + LEAST_RELIABLE)
    told = (reliable[0] >= least) & (reliable[1] >= least) & (np.arange(len(correlation)) > 0)
    if not told.any():
        return 0.0
    return float((correlation[told] / np.sqrt(reliable[0][told] * reliable[1][told])).mean())


def _reliability(folds: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Return the FSC `(shells,)` of the map of both folds with the truth, squared."""
    values = fsc(folds[0], folds[1], 1.0).values.clip(0, 1)
    return np.asarray(2 * values / (1 + values))
