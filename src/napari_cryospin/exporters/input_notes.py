"""Notes on the images and the CTF of an export, which stay those of the input even if the run changed them."""

from __future__ import annotations

from napari_cryospin.exporters.run_results import RunResults


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
