"""The true poses of a run's particles, in the frame of the run's map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.particle_record import ParticleRecord

if TYPE_CHECKING:
    from napari_cryospin.evaluation.against_truth import AlignedTruth

TOO_FEW_AGREE = "too few poses agree with the truth yet"
"""Reason why poses cannot be compared with a truth that is known."""


def aligned_truth(folder: RunFolder, record: ParticleRecord, truth: Path) -> AlignedTruth | None:
    """Align a record's poses to the true ones, modulo the run's point group. This takes a while, and loads torch.

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
    AlignedTruth or None
        The true rotations in the frame and hand of the record's poses, with the alignments; None: too few poses agree
        with the truth yet, whatever the frame.

    Raises
    ------
    FileNotFoundError, ValueError
        A file cannot be read, or the truth lacks poses or some of the images.
    """
    from napari_cryospin.evaluation.against_truth import align_truth
    from napari_cryospin.io.open import open_same_images
    from napari_cryospin.runs.run_particles import open_run_particles

    particles = open_run_particles(folder, require_stacks=False)
    known = open_same_images(truth, particles, data_dir=folder.source.data_dir, require_stacks=False)
    return align_truth(record.rows, record.rotations, record.half_sets, known, particles, folder.symmetry)


def true_rotations(folder: RunFolder, record: ParticleRecord, truth: Path) -> NDArray[np.float64] | None:
    """Return the true rotations `(n, 3, 3)` of `aligned_truth`, whose parameters and errors are the same."""
    found = aligned_truth(folder, record, truth)
    return None if found is None else found.rotations
