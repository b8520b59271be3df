"""The names of point groups, as RELION and cryoSPARC have them."""

from __future__ import annotations

import re

GROUP_NAMES = "a point group: Cn, Dn, T, O, I, I1, I2, I3 or I4, such as C1, C3, D7, O"
"""The names of point groups, in words; n goes up to 99."""
LOOKS_SYMMETRIC = "looks like"
"""Words for a map that has a symmetry as far as can be told; others have it nearly, or not."""
IS_SOUGHT = "is looked for"
"""Words for a symmetry that a run was given, and whose map does not show it yet."""
_NAME = re.compile(r"[CD][1-9]\d?|T|O|I[1-4]")


def canonical_name(name: str) -> str:
    """Return the one form of a group's name: D7 for d7, and I2 for I, as in RELION.

    Raises
    ------
    ValueError
        There is no group of this name.
    """
    word = name.strip().upper()
    word = "I2" if word == "I" else word
    if not _NAME.fullmatch(word):
        raise ValueError(f"symmetry: found {name!r}; expected {GROUP_NAMES}")
    return word
