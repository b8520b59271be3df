"""The true poses of a run's particles, in the frame of the run's map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.particle_record import ParticleRecord

TOO_FEW_AGREE = "too few poses agree with the truth yet"
"""Reason why poses cannot be compared with a truth that is known."""


def true_rotations(folder: RunFolder, record: ParticleRecord, truth: Path) -> NDArray[np.float64] | None:
    """Transform the true poses to the frame and hand of a record's poses. This takes a while, and loads torch.

    Parameters
    ----------
    folder
        The run.
    record
        Record with the poses of its particles.
    truth
        File of the same images with true poses, in any order.

    Returns
    -------
    ndarray or None
        `(n, 3, 3)` true rotations; None: too few poses agree with the truth yet, whatever the frame.

    Raises
    ------
    FileNotFoundError, ValueError
        A file cannot be read, or the truth lacks poses or some of the images.
    """
    from napari_cryospin.evaluation.against_truth import true_rotations_in_frame
    from napari_cryospin.io.open import open_same_images
    from napari_cryospin.runs.run_particles import open_run_particles

    particles = open_run_particles(folder, require_stacks=False)
    known = open_same_images(truth, particles, data_dir=folder.source.data_dir, require_stacks=False)
    return true_rotations_in_frame(record.rows, record.rotations, record.half_sets, known, particles)
