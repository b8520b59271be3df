"""The three molecules in the package, and particles that are simulated from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_cryospin.io.files import atomic_write
from napari_cryospin.runs.source import RunInput
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS

SAMPLE_IMAGES = 3000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A molecule with its map and its source."""

    key: str
    title: str
    about: str
    map: Path


SAMPLES = {
    sample.key: sample
    for sample in (
        Sample(
            key="spliceosome",
            title="Spliceosome",
            about="pre-catalytic spliceosome (PDB 5NRL), no symmetry: the friendly case",
            map=SAMPLE_MAPS["spliceosome"],
        ),
        Sample(
            key="spike",
            title="SARS-CoV-2 spike",
            about="closed spike (PDB 6VXX), three-fold: poses are known up to its symmetry",
            map=SAMPLE_MAPS["spike"],
        ),
        Sample(
            key="hsp90",
            title="Hsp90",
            about="Hsp90-Sba1 (PDB 2CG9), nearly two-fold: posteriors with several modes",
            map=SAMPLE_MAPS["hsp90"],
        ),
    )
}


def sample_files(sample: Sample, folder: Path) -> tuple[RunInput, Path]:
    """Return particles of a sample and the file of their true poses; the first call simulates them.

    Parameters
    ----------
    sample
        Molecule.
    folder
        Folder of the files, which is made if it does not exist.
    """
    out = folder / f"{sample.key}_{SAMPLE_IMAGES}"
    done = out.with_name(out.name + "_complete")
    source, truth = RunInput(particles=out.with_name(out.name + ".star")), out.with_name(out.name + "_truth.star")
    if not done.is_file():
        from napari_cryospin.simulation.files import write_simulation  # torch
        from napari_cryospin.simulation.images import SimulationSettings

        folder.mkdir(parents=True, exist_ok=True)
        write_simulation(sample.map, out, SimulationSettings(count=SAMPLE_IMAGES))
        with atomic_write(done) as part:
            part.touch()
    return source, truth
