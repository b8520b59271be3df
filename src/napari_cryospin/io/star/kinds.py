"""STAR files of RELION that hold other things than images of particles, told by their columns."""

from __future__ import annotations

from collections.abc import Mapping

from napari_cryospin.io.star.text import Block

STAR_KINDS = {
    "rlnTomoName": "tomograms",
    "rlnMicrographCoordinates": "lists of picked positions, a file for each micrograph; extract the particles first",
    "rlnExperimentalDataStarFile": "the settings of a refinement or classification; its particles are in the file "
    "..._data.star beside it",
    "rlnReferenceImage": "class averages or references; the particles of a classification are in the file "
    "..._data.star beside it",
    "rlnCoordinateX": "picked positions without images; extract the particles first",
    "rlnMicrographMovieName": "movies",
    "rlnMicrographName": "micrographs",
    "rlnFourierShellCorrelationCorrected": "curves of a postprocessing",
    "rlnFourierShellCorrelation": "curves of a postprocessing",
    "rlnHealpixOrder": "the sampling of a refinement or classification",
    "rlnPipeLineProcessName": "the jobs of a project",
    "rlnJobTypeLabel": "the settings of a job",
}
"""Column -> what a file holds that has it and no rlnImageName; the first that is found counts."""


def kind_without_images(blocks: Mapping[str, Block]) -> str:
    """Say what the file of these blocks is, which have no rlnImageName; empty where that is not known."""
    columns = {column for block in blocks.values() for column in block}
    found = next((column for column in STAR_KINDS if column in columns), None)
    return "" if found is None else f"{STAR_KINDS[found]} ({found})"
