"""Relations of the particles of a STAR file: helical tubes, and images that were made of one image."""

from __future__ import annotations

import numpy as np

from napari_cryospin.io.relations import Relation, relation
from napari_cryospin.io.star.optics import MICROGRAPH
from napari_cryospin.io.star.table import StarTable

TUBE, ORIGINAL = "rlnHelicalTubeID", "rlnImageOriginalName"


def star_relations(table: StarTable) -> tuple[Relation | None, ...]:
    """Find which particles are segments of one helical tube, or were made of one original image.

    RELION counts the tubes of each micrograph from 1. Where no micrographs are named, the stack stands for the
    micrograph, since RELION extracts each micrograph into a stack of its own.
    """
    return _tubes(table), _originals(table)


def _tubes(table: StarTable) -> Relation | None:
    if not table.has(TUBE):
        return None
    tubes = table.numbers(TUBE)
    if MICROGRAPH in table.particles:
        micrographs = table.particles[MICROGRAPH].to_numpy(dtype=object)
    else:
        micrographs = table.image_names()[1]
    return relation((micrographs, tubes), tubes >= 1, "helical tubes", "segments")


def _originals(table: StarTable) -> Relation | None:
    """Relate what was subtracted from, or cut out of, the same image, as after symmetry expansion."""
    if ORIGINAL not in table.particles:
        return None
    names = table.particles[ORIGINAL].to_numpy(dtype=object).astype(str)
    return relation((names,), ~np.isin(names, ("", "None", "nan", "<NA>")), "original images", "made")
