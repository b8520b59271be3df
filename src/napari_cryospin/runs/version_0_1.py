"""Reading what version 0.1 of the program wrote into a run's folder: the only place that knows its names.

Files of version 0.1 hold no `version`. Its history, snapshots and results/particles.npz named some arrays otherwise
than they are named now, and left out those of which a run knew nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RECORD_VERSION_0_1 = 1
"""Version of records in whose files no version is written."""
NAMES_0_1: Mapping[str, str] = MappingProxyType(
    {
        "rows": "indices",
        "winner": "winning_head",
        "candidates": "candidate_rotations",
    }
)
"""Present name of an array -> its name in files of version 0.1; all other names are the same."""
