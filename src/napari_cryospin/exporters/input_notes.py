"""What has to be said of an export's images and CTF: they stay the input's, whatever the run did with them."""

from __future__ import annotations

from napari_cryospin.exporters.run_results import RunResults


def inverted(results: RunResults) -> bool:
    """Whether the run was told that the input is wrong about the images' contrast."""
    return results.folder.settings.preparation.invert_contrast


def shows_dark_protein(results: RunResults) -> bool:
    """Whether some of the stored images show dark protein, by what the input says and the run was told."""
    return bool((results.used.contrast * (-1 if inverted(results) else 1) < 0).any())


def kept_ctf_notes(results: RunResults, suffix: str) -> tuple[str, ...]:
    """Say that CTF columns of an input of this type are kept, where the run used those of another file."""
    source = results.folder.source
    if source.ctf is None or source.particles.suffix.lower() != suffix:
        return ()
    return (f"CTF parameters are those of {source.particles.name}, as all else in it; the run used {source.ctf.name}",)
