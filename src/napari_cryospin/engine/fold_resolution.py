"""The resolution between the two folds of a fit's particles, while a run goes on."""

from __future__ import annotations

from napari_cryospin.engine.fit import Fit
from napari_cryospin.evaluation.fsc import fsc

FSC_THRESHOLD = 0.143
"""FSC at which the resolution between two folds is read, as for half sets (docs/method.md, what is measured how)."""


def fold_resolution(fit: Fit, before: float) -> float:
    """Measure the resolution between the two folds of a fit or of a class, Angstrom, at FSC 0.143.

    The folds share a reference, so that this is a guide while the run goes on, no gold standard.

    Parameters
    ----------
    fit : Fit
        The fit, or a view of one of its classes.
    before : float
        What is returned while a fold has no map.

    Returns
    -------
    float
        nan if the volume has no folds.
    """
    folds = fit.volume.fold_maps()
    if folds is None:
        return float("nan")
    first, second = (part.cpu().numpy() for part in folds)
    if not first.any() or not second.any():
        return before
    limit = fit.images.extent / fit.volume.band
    return max(limit, fsc(first, second, fit.images.extent / len(first)).resolution(FSC_THRESHOLD))
