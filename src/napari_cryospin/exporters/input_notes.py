"""Notes on the images and the CTF of an export, which stay those of the input even if the run changed them."""

from __future__ import annotations

from napari_cryospin.exporters.run_results import RunResults
from napari_cryospin.io.aberrations import ODD_SIGN_NOTE
from napari_cryospin.io.star.table import StarTable
from napari_cryospin.particles import Particles
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
    """Return a note that CTF columns of an input with this suffix are kept, if the run used the CTF of another file."""
    source = results.folder.source
    if source.ctf is None or source.particles.suffix.lower() != suffix:
        return ()
    return (f"CTF parameters are those of {source.particles.name}, as all else in it; the run used {source.ctf.name}",)


def new_star_notes(used: Particles) -> tuple[str, ...]:
    """Say what a STAR file that is made anew has of micrographs, by which RELION groups particles, and of optics."""
    if isinstance(used.table, StarTable):
        return ()
    return (*_micrograph_notes(used), *_optics_notes(used))


def _optics_notes(used: Particles) -> tuple[str, ...]:
    notes = [f"not carried over: {', '.join(used.unused)}"] if used.unused else []
    if used.aberrations is not None:
        notes.append(f"aberrations are carried over: {used.aberrations}")
        notes += [ODD_SIGN_NOTE] if used.aberrations.odd.any() else []
    return tuple(notes)


def _micrograph_notes(used: Particles) -> tuple[str, ...]:
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


def no_place_notes(particles: Particles) -> list[str]:
    """Say what the CTF's nine columns of cryoDRGN, and of programs that read the same, have no place for."""
    ctf, aberrations, lost = particles.ctf, particles.aberrations, list(particles.unused)
    if ctf is not None:
        lost += ["scale factor"] if (ctf.scale != 1).any() else []
        lost += ["B-factor"] if ctf.b_factor.any() else []
    lost += [f"aberrations: {aberrations}"] if aberrations is not None else []
    return [f"ctf.pkl has no place for: {'; '.join(lost)}"] if lost else []
