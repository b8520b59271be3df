"""Table of the formats of particle files, apart from their readers in `io.open`, which are slow to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ParticleFormat:
    """A format of particle files."""

    program: str
    """Program that defines the format."""
    bare: bool = False
    """Whether it is a stack of images alone, without pixel size and CTF."""
    takes_passthrough: bool = False
    """Whether further files with fields of the same particles can be given beside it."""


PARTICLE_FORMATS = {
    ".star": ParticleFormat(program="RELION"),
    ".cs": ParticleFormat(program="cryoSPARC", takes_passthrough=True),
    ".csg": ParticleFormat(program="cryoSPARC", takes_passthrough=True),
    ".mrcs": ParticleFormat(program="MRC", bare=True),
    ".mrc": ParticleFormat(program="MRC", bare=True),
}
"""Suffix, in lower case -> format."""
