"""Names and values in messages: shown in part, so that a message stays short however large the data are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import PurePath

NAMES_SHOWN = 10
"""Names or rows that a message shows of many. Chosen by hand: as many as are read at a glance."""
LONGEST_SHOWN = 120
"""Characters that a message shows of one name or value. Chosen by hand: room for a path of five folders."""


def first_of(names: Collection[object], separator: str = ", ") -> str:
    """Write the first names, and how many more there are.

    Parameters
    ----------
    names
        All of them, in the order in which they are to be shown.
    separator
        What stands between two names.
    """
    shown = separator.join(shortened(name) for name in islice(names, NAMES_SHOWN))
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def first_paths(names: Sequence[str]) -> str:
    """Write the first paths, and how many more there are; the folder that all of them share is written once."""
    folder = shared_folder(names)
    if not folder:
        return first_of(names)
    return f"all beneath {shortened(folder)}: {first_of([PurePath(name).relative_to(folder) for name in names])}"


def shared_folder(names: Sequence[str]) -> str:
    """Find the folder beneath which all of several paths lie; empty where there is none but the root."""
    parents = [PurePath(name).parent.parts for name in names]
    if len(parents) < 2:
        return ""
    low, high = min(parents), max(parents)  # What the first and the last in order share, all share.
    count = next((number for number, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    folder = PurePath(*low[:count])
    return "" if folder in (PurePath(), PurePath(folder.anchor)) else str(folder)


def shortened(value: object) -> str:
    """Write a name or a value; of a long one the beginning and the end."""
    text = str(value)
    half = (LONGEST_SHOWN - 3) // 2
    return text if len(text) <= LONGEST_SHOWN else f"{text[:half]}...{text[-half:]}"
