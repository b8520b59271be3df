"""Names in the files that version 0.1 of the program wrote into a run's folder; no other module contains them.

Files of version 0.1 hold no `version`. In its history, snapshots and results/particles.npz, some arrays have other
names than now, and arrays of which a run knew nothing are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RECORD_VERSION_0_1 = 1
"""Version of records whose files hold no version."""
NAMES_0_1: Mapping[str, str] = MappingProxyType(
    {
        "rows": "indices",
        "winner": "winning_head",
        "candidates": "candidate_rotations",
    }
)
"""Present name of an array -> its name in files of version 0.1; all other names are the same."""
