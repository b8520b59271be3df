"""Aberrations in the terms of RELION (Zernike polynomials, beam tilt) and of cryoSPARC (lengths), and their conversion.

RELION: `src/jaz/single_particle/obs_model.cpp` and `ctf/tilt_helper.cpp` (facts, no code). cryoSPARC's lengths are the
coefficients of the wave aberration: with a wavelength l and a frequency (k, theta) the phases are

    antisymmetric   -2 pi (shift . k + l^2 k^2 tilt . k + l^2 k^3 (trefoil . (cos 3 theta, sin 3 theta)) / 3)
    symmetric       2 pi l^3 k^4 (T0 cos 2 theta + T1 sin 2 theta + (T2 cos 4 theta + T3 sin 4 theta) / 4)

The sign of the antisymmetric ones is the one for which a beam tilt is the tilt's length over Cs in both programs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cryospin.particles import Aberrations, CtfParameters, electron_wavelength

Array = NDArray[np.float64]

ODD_SIGN_NOTE = (
    "beam tilt and trefoil are converted with one sign for both programs, as other converters do; this could not be "
    "checked in cryoSPARC"
)
"""For conversions between the two programs."""
ODD_COUNT, EVEN_COUNT = 6, 9
"""Numbers of coefficients up to the orders that both programs fit: 3 and 4. RELION may have more."""
DETERMINANTS = (0.5, 2.0)
"""Least and largest determinant of a magnification matrix. Chosen by hand; microscopes have a few per cent about 1."""


def check_magnification(matrices: Array, source: Path, field: str) -> None:
    """Refuse matrices `(n, 2, 2)` that are no magnification; `field` names them in the message."""
    low, high = DETERMINANTS
    determinants = np.linalg.det(matrices)
    bad = ~((determinants >= low) & (determinants <= high))
    if bad.any():
        row, count = int(bad.argmax()), int(bad.sum())
        found = " ".join(f"{value:g}" for value in matrices[row].ravel())
        expected = f"a matrix near 1 0 0 1, of a determinant of {low:g} to {high:g}"
        others = f" ({count:,} such rows)" if count > 1 else ""
        raise ValueError(f"{source}: row {row + 1}, {field}: found {found}, expected {expected}{others}")


def grouped(keys: pd.DataFrame) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Find groups of equal rows of `keys`: return each row's group, `(n,)`, and the first row of each group, `(g,)`."""
    groups = keys.groupby(list(keys.columns), sort=False, dropna=False).ngroup().to_numpy()
    return groups.astype(np.int32), np.unique(groups, return_index=True)[1].astype(np.int64)


def made(groups: NDArray[np.int32], odd: Array, even: Array, magnification: Array) -> Aberrations | None:
    """Return the aberrations, or None if there are none."""
    found = Aberrations(groups=groups, odd=odd, even=even, magnification=magnification)
    return found if str(found) else None


def with_beam_tilt(odd: Array, tilt: Array, ctf: CtfParameters) -> Array:
    """Put a beam tilt into antisymmetric coefficients, as RELION does: in place of their coma.

    Parameters
    ----------
    odd
        `(g, k)` coefficients.
    tilt
        `(g, 2)` mrad, (x, y).
    ctf
        Of the groups, `(g,)`.
    """
    odd = np.pad(odd, ((0, 0), (0, max(0, ODD_COUNT - odd.shape[1]))))
    tilted = tilt.any(axis=1)
    coma = -_phase_of_tilt(ctf)[:, None] * tilt / 3
    odd[tilted, 4], odd[tilted, 3] = coma[tilted].T
    odd[:, 1] += np.where(tilted, 2 * coma[:, 0], 0)
    odd[:, 0] += np.where(tilted, 2 * coma[:, 1], 0)
    return odd


def without_beam_tilt(odd: Array, ctf: CtfParameters) -> tuple[Array, Array]:
    """Take the beam tilt out of antisymmetric coefficients: the inverse of `with_beam_tilt`.

    Without spherical aberration no tilt has an effect: the coma stays in the coefficients.

    Returns
    -------
    tuple
        `(g, k)` coefficients, and `(g, 2)` mrad, (x, y).
    """
    phase = _phase_of_tilt(ctf)
    known = np.abs(phase) > 0
    coma = np.where(known[:, None], odd[:, [4, 3]], 0)
    odd = odd.copy()
    odd[:, [4, 3]] -= coma
    odd[:, [1, 0]] -= 2 * coma
    return odd, -3 * coma / np.where(known, phase, 1)[:, None]


def _phase_of_tilt(ctf: CtfParameters) -> Array:
    """Compute the phase of a tilt of 1 mrad at a frequency of 1/A, `(g,)`: `2 pi Cs l^2` times 0.001."""
    wavelength = electron_wavelength(ctf.voltage)
    phase: Array = 2e-3 * np.pi * ctf.spherical_aberration * 1e7 * wavelength**2
    return phase


def odd_of_lengths(shift: Array, tilt: Array, trefoil: Array, voltage: Array) -> Array:
    """Return antisymmetric coefficients `(g, 6)` of cryoSPARC's lengths, `(g, 2)` A each, at voltages in kV."""
    square = electron_wavelength(voltage)[:, None] ** 2
    coma, three = -2 * np.pi * square * tilt / 3, -2 * np.pi * square * trefoil / 3
    plane = -2 * np.pi * shift + 2 * coma
    return np.stack([plane[:, 1], plane[:, 0], three[:, 1], coma[:, 1], coma[:, 0], three[:, 0]], axis=-1)


def even_of_lengths(tetra: Array, voltage: Array) -> Array:
    """Return symmetric coefficients `(g, 9)` of cryoSPARC's lengths `(g, 4)`, A, at voltages in kV."""
    unit = np.pi / 2 * electron_wavelength(voltage) ** 3
    even = np.zeros((len(tetra), EVEN_COUNT))
    even[:, [7, 5, 8, 4]] = unit[:, None] * tetra
    even[:, [3, 1]] = 3 * even[:, [7, 5]]  # Z(4, 2) has a term of k^2, which Z(2, 2) takes back.
    return even


class Lengths(NamedTuple):
    """Aberrations in cryoSPARC's terms."""

    fields: dict[str, Array]
    """Field of the result `ctf` -> `(n, ...)` values."""
    ctf: CtfParameters
    """CTF parameters of the particles, with the symmetric terms that are defocus, Cs or a phase shift."""
    beyond: bool
    """Whether there are orders beyond those that cryoSPARC has, which are left out."""


def lengths_of(aberrations: Aberrations, ctf: CtfParameters) -> Lengths:
    """Convert aberrations to cryoSPARC's terms, for each particle."""
    groups, voltage = aberrations.groups, electron_wavelength(ctf.voltage)[:, None]
    odd, odd_beyond = _low(aberrations.odd, ODD_COUNT)
    even, even_beyond = _low(aberrations.even, EVEN_COUNT)
    odd, even = odd[groups], even[groups]
    plane, coma, three = odd[:, [1, 0]], odd[:, [4, 3]], odd[:, [5, 2]]
    fields = {
        "shift_A": (2 * coma - plane) / (2 * np.pi),
        "tilt_A": -3 * coma / (2 * np.pi * voltage**2),
        "trefoil_A": -3 * three / (2 * np.pi * voltage**2),
        "tetra_A": 2 * even[:, [7, 5, 8, 4]] / (np.pi * voltage**3),
        "anisomag": (aberrations.magnification - np.eye(2)).reshape(-1, 4)[groups],
    }
    return Lengths(fields, _with_low_orders(ctf, even), odd_beyond or even_beyond)


def _low(coefficients: Array, count: int) -> tuple[Array, bool]:
    """Return the first `count` coefficients `(g, count)`, and whether there are others that are not 0."""
    low = np.zeros((len(coefficients), count))
    low[:, : coefficients.shape[1]] = coefficients[:, :count]
    return low, bool(coefficients[:, count:].any())


def _with_low_orders(ctf: CtfParameters, even: Array) -> CtfParameters:
    """Add those terms of `(n, 9)` symmetric coefficients to CTF parameters that are a phase shift, a defocus, or Cs."""
    if not even.any():
        return ctf
    c0, c1, c2, c3, _, c5, c6, c7, _ = even.T
    wavelength = electron_wavelength(ctf.voltage)
    phase, round_term = c0 - c2 + c6, 2 * c2 - 6 * c6
    defocus = -round_term / (np.pi * wavelength)
    astigmatism = -(c3 - 3 * c7 + 1j * (c1 - 3 * c5)) / (np.pi * wavelength)
    half = (ctf.defocus_u - ctf.defocus_v) / 2 * np.exp(2j * np.radians(ctf.defocus_angle)) + astigmatism
    middle = (ctf.defocus_u + ctf.defocus_v) / 2 + defocus
    cs = ctf.spherical_aberration + 12 * c6 / (np.pi * wavelength**3) / 1e7
    changed: dict[str, Any] = {
        "defocus_u": middle + np.abs(half),
        "defocus_v": middle - np.abs(half),
        "defocus_angle": np.degrees(np.angle(half)) / 2,
        "spherical_aberration": cs,
        "phase_shift": ctf.phase_shift - np.degrees(phase),
    }
    return CtfParameters(**{**vars(ctf), **changed})
