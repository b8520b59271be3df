"""Notes on the images and the CTF of an export: both stay those of the input, whatever the run did with them."""

from __future__ import annotations

from napari_cryospin.exporters.run_results import RunResults
from napari_cryospin.runs.folder import LEFT_OUT_FILE
from napari_cryospin.runs.left_out import left_out_rows
from napari_cryospin.runs.run_particles import particle_count


def inverted(results: RunResults) -> bool:
    """Return whether the run inverted the contrast that the input states."""
    return results.folder.settings.preparation.invert_contrast


def shows_dark_protein(results: RunResults) -> bool:
    """Return whether some of the stored images show dark protein, by the input and the settings of the run."""
    return bool((results.used.contrast * (-1 if inverted(results) else 1) < 0).any())


def left_out_notes(results: RunResults) -> tuple[str, ...]:
    """Say how many particles of the input are not among those of the run, and why.

    Parameters
    ----------
    results
        All particles of the run.
    """
    count, bad = particle_count(results.folder), len(left_out_rows(results.folder))
    if count is None or count == len(results):
        return ()
    why = f", {bad:,} of them because their images cannot be used ({LEFT_OUT_FILE})" if bad else ""
    found = f"{count - len(results):,} of the input's {count:,} particles are not in the run and have no pose"
    return (f"{found}{why}: they are left out",)


def kept_ctf_notes(results: RunResults, suffix: str) -> tuple[str, ...]:
    """Say that CTF columns of an input of this type are kept, where the run used those of another file."""
    source = results.folder.source
    if source.ctf is None or source.particles.suffix.lower() != suffix:
        return ()
    return (f"CTF parameters are those of {source.particles.name}, as all else in it; the run used {source.ctf.name}",)
