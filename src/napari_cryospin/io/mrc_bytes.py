"""Whether the bytes of an MRC file of mode 0 are signed, which the mode alone does not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

IMOD_STAMP, IMOD_SIGNED_BYTES = 1146047817, 1
SAMPLE_BYTES = 2**22
"""Bytes that are looked at, evenly spread over the file's sections."""
SEAM_WIDTH = 15
"""Grey values on either side of a seam that are counted; chosen by hand."""
SEAM_FACTOR = 1.5
"""How many times more values the one seam must have than the other; chosen by hand."""
SEAM_COUNT = 4
"""Values beyond that factor that are put down to chance; chosen by hand."""


def bytes_are_unsigned(
    header: Any, order: Literal["<", ">"], path: Path, offset: int, shape: tuple[int, int, int]
) -> bool:
    """Return whether the bytes of a file of mode 0 are unsigned.

    IMOD's stamp says it; else the reading is right whose values the header's minimum and maximum admit; else the one
    whose ends the histogram does not cross. Where stamp and statistics contradict each other the histogram decides.

    Parameters
    ----------
    header
        Record of the header's fixed part.
    order
        Byte order, "<" or ">".
    path, offset, shape
        The file, the bytes before its data, and its sections, rows and columns.

    Raises
    ------
    ValueError
        Nothing tells it.
    """
    values = _sampled_bytes(path, offset, shape)
    stamp, statistics = _stamp_says(header, order), _statistics_say(float(header.dmin), float(header.dmax), values)
    picture = histogram_says(values)
    votes = [stamp, statistics, picture]
    if stamp is not None and statistics not in (None, stamp):
        votes = [picture, stamp]
    said = next((vote for vote in votes if vote is not None), None)
    if said is None and 0 < (values > 127).mean() < 1:  # Else the two readings differ by a constant at most.
        raise ValueError(
            f"{path}: MRC mode 0, whose bytes may be signed or not: neither the header's minimum {header.dmin:g} and "
            f"maximum {header.dmax:g} nor the grey values tell which; write the right ones, or convert it to mode 2"
        )
    return bool(said)


def _sampled_bytes(path: Path, offset: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    stored = np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=shape)
    count = min(shape[0], max(1, SAMPLE_BYTES // (shape[1] * shape[2])))
    return np.array(stored[np.unique(np.linspace(0, shape[0] - 1, count).astype(int))])


def _stamp_says(header: Any, order: Literal["<", ">"]) -> bool | None:
    """Return what IMOD's stamp says; its bytes are unsigned unless a flag says otherwise. None: no stamp."""
    stamp, flags = np.frombuffer(bytes(header.extra2)[40:48], dtype=np.dtype("i4").newbyteorder(order))
    return None if stamp != IMOD_STAMP else not flags & IMOD_SIGNED_BYTES


def _statistics_say(lowest: float, highest: float, values: NDArray[np.uint8]) -> bool | None:
    """Return which reading agrees with the header's minimum and maximum; None: both, or neither."""
    if not lowest < highest:  # The standard marks statistics that are not known in this way; nan likewise.
        return None
    fits = []
    for reading, least, most in ((values.view(np.int8), -128, 127), (values, 0, 255)):
        possible = least <= lowest and highest <= most
        fits.append(possible and lowest <= reading.min() and reading.max() <= highest)
    return None if fits[0] == fits[1] else fits[1]


def histogram_says(values: NDArray[np.uint8]) -> bool | None:
    """Return the reading whose ends the grey values do not cross; None: the histogram does not tell.

    Grey values crowd about a mean. Read wrongly they wrap around: many lie at both ends of the range, and few about
    its middle. The outermost values are not counted, at which a program may have cut off what lay beyond.
    """
    counts = np.bincount(values.ravel(), minlength=256)
    across_127 = min(counts[127 - SEAM_WIDTH : 127].sum(), counts[129 : 129 + SEAM_WIDTH].sum())
    across_0 = min(counts[1 : 1 + SEAM_WIDTH].sum(), counts[255 - SEAM_WIDTH : 255].sum())
    if across_127 > SEAM_FACTOR * across_0 + SEAM_COUNT:
        return True
    return False if across_0 > SEAM_FACTOR * across_127 + SEAM_COUNT else None
