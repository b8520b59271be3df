"""The runs that were watched last, remembered from one session to the next."""

from __future__ import annotations

import json
from pathlib import Path

from napari_cryospin.widgets.kit.preferences import recall_choice, remember_choice

RECENT = "recent runs"
MOST_RECENT = 6
"""Number of runs that are remembered. Chosen by hand."""


def recent_runs() -> list[Path]:
    """Return the folders of the runs that were watched last, the newest first."""
    try:
        known = json.loads(recall_choice(RECENT, "[]"))
    except ValueError:
        return []
    return [Path(path) for path in known if isinstance(path, str)] if isinstance(known, list) else []


def remember_run(path: Path) -> None:
    """Put a run's folder first among those that are remembered."""
    path = path.absolute()
    others = [one for one in recent_runs() if one != path]
    remember_choice(RECENT, json.dumps([str(one) for one in (path, *others)][:MOST_RECENT]))
