"""Notes on the images and the CTF of an export, which stay those of the input even if the run changed them."""

from __future__ import annotations

from napari_cryospin.exporters.run_results import RunResults
from napari_cryospin.io.star.table import StarTable
from napari_cryospin.particles import Particles


def inverted(results: RunResults) -> bool:
    """Return whether the run inverted the contrast that the input states."""
    return results.folder.settings.preparation.invert_contrast


def shows_dark_protein(results: RunResults) -> bool:
    """Return whether some of the stored images show dark protein, by the input and the settings of the run."""
    return bool((results.used.contrast * (-1 if inverted(results) else 1) < 0).any())


def kept_ctf_notes(results: RunResults, suffix: str) -> tuple[str, ...]:
    """Return a note that CTF columns of an input with this suffix are kept, if the run used the CTF of another file."""
    source = results.folder.source
    if source.ctf is None or source.particles.suffix.lower() != suffix:
        return ()
    return (f"CTF parameters are those of {source.particles.name}, as all else in it; the run used {source.ctf.name}",)


def new_star_notes(used: Particles) -> tuple[str, ...]:
    """Say what a STAR file that is made anew has of the micrographs, which RELION groups particles by."""
    if isinstance(used.table, StarTable):
        return ()
    if used.picks is None:
        return (
            "no rlnMicrographName: the input names no micrographs (cryoSPARC's passthrough files do); RELION will put "
            "all particles in one group, and can neither extract nor polish them again",
        )
    if used.picks.coordinates is None:
        return ("no rlnCoordinateX, rlnCoordinateY: the input has no coordinates, or no size of the micrographs",)
    return (
        "rlnCoordinateX, rlnCoordinateY are places in the micrographs that the input names; in those that RELION's own "
        "motion correction makes of the same movies, y may run the other way: look at a few before extracting",
    )
