"""Columns of a STAR file about the classes of a run."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from napari_cryospin.io.star.particles import CLASS, CLASS_PROBABILITY
from napari_cryospin.runs.particle_record import ParticleRecord


def class_columns(record: ParticleRecord) -> dict[str, NDArray[Any]]:
    """Return the columns with the class of each particle and the probability of each class; none with one class."""
    if record.class_number is None or record.class_probability is None:
        return {}
    probabilities = record.class_probability.T
    return {CLASS: record.class_number} | {
        f"{CLASS_PROBABILITY}{number}": values for number, values in enumerate(probabilities, start=1)
    }
