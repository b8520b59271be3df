"""The formats of particle files. `io.open` has a reader for each; readers are slow to import, this table is not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ParticleFormat:
    """A kind of file that names particles."""

    program: str
    """Whose format it is."""
    bare: bool = False
    """A stack of images alone, which says neither pixel size nor CTF."""
    takes_passthrough: bool = False
    """Further files with fields of the same particles may go with it."""


PARTICLE_FORMATS = {
    ".star": ParticleFormat(program="RELION"),
    ".cs": ParticleFormat(program="cryoSPARC", takes_passthrough=True),
    ".csg": ParticleFormat(program="cryoSPARC", takes_passthrough=True),
    ".mrcs": ParticleFormat(program="MRC", bare=True),
    ".mrc": ParticleFormat(program="MRC", bare=True),
}
"""Suffix, in lower case -> format."""
