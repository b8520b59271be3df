"""Records of a run's particles, and of its epochs, whose arrays are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cryospin.runs.epoch_record import EpochRecord
from napari_cryospin.runs.particle_record import ParticleRecord


def particle_record(count: int = 1, **arrays: Any) -> ParticleRecord:
    """A record of so many particles: all at one pose, won by head 0, but for the arrays that are given."""
    values: dict[str, Any] = {
        "rows": np.arange(count),
        "half_sets": np.zeros(count),
        "rotations": np.broadcast_to(np.eye(3), (count, 3, 3)),
        "shifts": np.zeros((count, 2)),
        "winner": np.zeros(count),
    }
    return ParticleRecord(**(values | arrays))


def epoch_record(epoch: int = 1, particles: ParticleRecord | None = None, box: int = 4, **values: Any) -> EpochRecord:
    """A record of an epoch, with a map of zeros, but for the values that are given."""
    known: dict[str, Any] = {
        "epoch": epoch,
        "stage": "auto-encoding",
        "map": np.zeros((box, box, box)),
        "pixel_size": 2.0,
        "band": 1,
        "noise": np.ones((1, box // 2)),
        "max_shift": 0.0,
        "particles": particle_record() if particles is None else particles,
    }
    return EpochRecord(**(known | values))
