"""Save the numbers of a particle's posterior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_cryospin.io.files import atomic_write
from napari_cryospin.views.posterior.source import Detail, Look


def save_numbers(look: Look, detail: Detail | None, path: Path) -> None:
    """Write the posterior, candidates, path and, where they are known, zoom and truth to an .npz file."""
    arrays: dict[str, Any] = {
        "particle": look.particle,
        "epoch": look.moment.epoch,
        "stage": look.stage,
        "log_posterior": look.posterior.log_posterior,  # HEALPix, ring order; exp sums to 1
        "entropy": look.posterior.entropy,
        "rotation": look.rotation,
        "shift": look.shift,
        "winner": look.winner,
        "candidates": look.heads,
        "candidate_shifts": look.head_shifts,
        "path_epochs": look.path.epochs,
        "path_directions": look.path.directions,
        "path_after_switch": look.path.decoding,
    }
    if detail is not None:
        zoom, candidates = detail.zoom, detail.candidates
        arrays |= {"zoom_log_posterior": zoom.log_posterior, "zoom_degrees": zoom.u, "zoom_centre": zoom.centre}
        arrays |= {"zoom_axes": zoom.axes, "best_rotation": detail.best}
        arrays |= {"shown": [one.title for one in detail.shown], "error": candidates.error}
        arrays |= {"log_likelihood": candidates.log_likelihood, "angles": candidates.angles}
        arrays |= {"shown_shifts": candidates.shifts, "probability": candidates.probability}
        arrays |= {"particle_image": candidates.particle, "projections": candidates.projections}
        if detail.truth is not None:
            arrays["true_rotation"] = detail.truth
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
