"""Limits of CTF parameters: what no microscope has is refused, and what is plausible in another unit is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.located import check_column

Values = Mapping[str, NDArray[np.float64]]
"""CTF parameters `(n,)` by the names of `CtfParameters`, in its units."""
Stored = Mapping[str, tuple[str, NDArray[np.float64]]]
"""What a file calls a parameter, and its values there, `(n,)` in the file's unit."""


class Limit(NamedTuple):
    """Least and largest value that can be a microscope's, and how that is said."""

    low: float
    high: float
    expected: str


CTF_LIMITS = {
    "defocus_u": Limit(-1e5, 1e6, "a defocus in A, at most 1000000 (100 um)"),
    "defocus_v": Limit(-1e5, 1e6, "a defocus in A, at most 1000000 (100 um)"),
    "defocus_angle": Limit(-720.0, 720.0, "an angle of at most 720 degrees (12.6 rad) either way"),
    "voltage": Limit(10.0, 3000.0, "a voltage of 10 to 3000 kV"),
    "spherical_aberration": Limit(-100.0, 100.0, "a spherical aberration in mm, at most 100"),
    "amplitude_contrast": Limit(0.0, 1.0, "an amplitude contrast of 0 to 1, as a fraction"),
    "phase_shift": Limit(-360.0, 360.0, "a phase shift of at most 360 degrees (6.28 rad) either way"),
    "scale": Limit(1e-3, 100.0, "a scale factor above 0: of 0.001 to 100"),
    "b_factor": Limit(-np.inf, 1e4, "a B-factor in A^2, at most 10000"),
}
"""By parameter; chosen by hand, well beyond what microscopes have."""
LARGEST_GAIN = 10.0
"""Factor by which a B-factor may raise an image's highest frequency. Chosen by hand: the CTF itself stays within 1."""
LEAST_DEFOCUS, NEAR_FOCUS = 100.0, 3000.0
"""A. Sets that stay below the first are in another unit; those below the second may be (nanometres), and it is said."""


def check_ctf(values: Values, source: Path | str, stored: Stored | None = None) -> None:
    """Refuse CTF parameters that are no microscope's, as in another unit.

    Parameters
    ----------
    values
        Only the parameters given are checked.
    source
        File, for messages.
    stored
        Names and values for messages, where the file has others than `values`.

    Raises
    ------
    ValueError
        Names file, row, field, what was found, what was expected, and in how many rows.
    """
    for name, limit in CTF_LIMITS.items():
        if name in values:
            good = (values[name] >= limit.low) & (values[name] <= limit.high)
            field, found = (stored or {}).get(name, (name, values[name]))
            check_column(found, good, source, field, limit.expected)
    _check_unit_of_defocus(values, source, stored or {})


def _check_unit_of_defocus(values: Values, source: Path | str, stored: Stored) -> None:
    """Refuse defoci of which all are too small to be in A; no defocus at all may be meant."""
    u, v = np.abs(values["defocus_u"]), np.abs(values["defocus_v"])
    if 0 < max(u.max(), v.max()) < LEAST_DEFOCUS:
        field, found = stored.get("defocus_u", ("defocus_u", values["defocus_u"]))
        expected = f"a defocus in A (all are below {LEAST_DEFOCUS:g}: micrometres?)"
        check_column(found, np.zeros(len(u), dtype=bool), source, field, expected)


def check_b_factors(b_factor: NDArray[np.float64], pixel_sizes: NDArray[np.float64], source: Path, field: str) -> None:
    """Refuse B-factors (A^2) that raise the highest frequency of images of these pixel sizes (A) beyond measure."""
    expected = f"one that raises no frequency by more than {LARGEST_GAIN:g}: RELION's damps where it is above 0"
    check_column(b_factor, _gain(b_factor, pixel_sizes) <= LARGEST_GAIN, source, field, expected)


def _gain(b_factor: NDArray[np.float64], pixel_sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the factor of a B-factor, `exp(-B s^2 / 4)`, at the images' highest frequency, `(n,)`."""
    with np.errstate(over="ignore"):
        return np.exp(-b_factor / (16 * pixel_sizes**2))


def ctf_notes(
    values: Values, pixel_sizes: NDArray[np.float64] | None = None, names: Mapping[str, str] | None = None
) -> list[str]:
    """Say what is admitted, but looks like another unit or another sign.

    Parameters
    ----------
    values
        All CTF parameters but `scale` and `b_factor`, which may be missing.
    pixel_sizes
        A `(n,)`, needed with B-factors.
    names
        What the file calls the parameters.
    """
    names = names or {}
    notes = _defocus_notes((values["defocus_u"] + values["defocus_v"]) / 2)
    phases, aberrations = np.abs(values["phase_shift"]), np.abs(values["spherical_aberration"])
    if 0 < phases.max() <= np.pi:
        name = names.get("phase_shift", "phase_shift")
        notes.append(f"{name}: at most {phases.max():.3g} degrees: another unit?")
    if 1e-3 <= aberrations.max() < 0.0075:
        name = names.get("spherical_aberration", "spherical_aberration")
        notes.append(f"{name}: {aberrations.max():.3g} mm: metres taken for millimetres?")
    b_factor = values.get("b_factor", np.zeros(1))
    if (b_factor < 0).any() and pixel_sizes is not None:
        gain = _gain(b_factor, pixel_sizes).max()
        notes.append(
            f"{names.get('b_factor', 'b_factor')}: below 0 in {(b_factor < 0).sum():,} rows, which raises high "
            f"frequencies (up to {gain:.2g} times) where RELION's damp; Warp and M write the other sign"
        )
    return notes


def _defocus_notes(defocus: NDArray[np.float64]) -> list[str]:
    """Say what is unusual about mean defoci (A)."""
    notes = []
    over, small = defocus < 0, (np.abs(defocus) < LEAST_DEFOCUS) & (defocus != 0)
    if over.all():
        notes.append("overfocus throughout: RELION's underfocus is positive; images of the other sign give a wrong map")
    elif over.any():
        notes.append(f"overfocus in {over.sum():,} of {len(over):,} rows, first row {over.argmax() + 1}")
    if small.any():
        notes.append(
            f"defocus below {LEAST_DEFOCUS:g} A in {small.sum():,} of {len(small):,} rows, first row "
            f"{small.argmax() + 1}: another unit?"
        )
    elif 0 < np.abs(defocus).max() < NEAR_FOCUS:
        notes.append(f"defocus below {NEAR_FOCUS * 1e-4:g} um throughout: nanometres taken for A?")
    return notes
