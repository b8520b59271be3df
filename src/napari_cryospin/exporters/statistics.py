"""Computation of the posterior's figures from the newest checkpoint of a run that is not over."""

from __future__ import annotations

import dataclasses

import numpy as np

from napari_cryospin.driving.run import prepare
from napari_cryospin.engine.posterior_statistics import posterior_statistics
from napari_cryospin.exporters.options import Progress
from napari_cryospin.exporters.run_results import RunResults


def with_statistics(results: RunResults, progress: Progress) -> RunResults:
    """Return the results with the posterior's figures under the map of the newest checkpoint.

    Raises
    ------
    ValueError
        There is no checkpoint yet.
    """
    if results.folder.newest_checkpoint() is None:
        raise ValueError(f"{results.folder.path}: no checkpoint in this run yet; `send RUN save` writes one")
    progress(0.0, "reading images")
    _, reconstruction, _ = prepare(results.folder)
    progress(0.6, "computing posteriors")
    found = posterior_statistics(reconstruction.fits)
    order = np.argsort(reconstruction.indices)
    positions = order[np.searchsorted(reconstruction.indices[order], results.record.rows)]
    record = dataclasses.replace(results.record, **{name: values[positions] for name, values in found.items()})
    return dataclasses.replace(results, record=record)
