"""The room that a mask must leave about the particle, because the CTF spreads detail beyond it."""

from __future__ import annotations

import numpy as np

from napari_cryospin.advice import Advice
from napari_cryospin.engine.defaults import DEFAULT_MASK_RADIUS
from napari_cryospin.particles import CtfParameters, electron_wavelength

SPREAD_DETAIL = 10.0
"""Resolution of the detail whose spread is told, A, or Nyquist where that is coarser."""
LARGEST_SPREAD = 0.25
"""Spread, as a share of the mask's radius, from which a mask smaller than the default is told of; chosen by hand. Runs
of apoferritin (122 A, 2 um defocus) came out with a correlation of 0.75 with the known map between 20 and 9 A under a
mask of 70 A, and 0.93 under one of 85 A."""


def spread_of_detail(ctf: CtfParameters, resolution: float) -> float:
    """Compute how far the CTF moves detail of a resolution (A) from its place, A, median over the particles.

    The phase `pi lambda df s^2` of the CTF moves detail of frequency `s` by its slope, `lambda df s`, to both sides.
    """
    defocus = np.abs(ctf.defocus_u + ctf.defocus_v) / 2
    return float(np.median(electron_wavelength(ctf.voltage) * defocus)) / resolution


def tight_mask_notes(ctf: CtfParameters | None, radius: float | None, side: float, nyquist: float) -> list[str]:
    """Note that a mask's radius (A; None: the default) cuts off what the CTF spreads, in a box of `side` A."""
    if ctf is None or radius is None or radius >= DEFAULT_MASK_RADIUS * side:
        return []
    resolution = max(SPREAD_DETAIL, nyquist)
    spread = spread_of_detail(ctf, resolution)
    if spread < LARGEST_SPREAD * radius:
        return []
    found = f"the CTF spreads detail of {resolution:.3g} A over {spread:.0f} A to each side, and a mask of {radius:g} A"
    expected = (
        f"cuts off what lies beyond it: leave room about the particle (default: {DEFAULT_MASK_RADIUS * side:.0f} A)"
    )
    return [Advice(f"{found} {expected}", "mask_radius")]
