"""One moment of a run: what a question about its maps and poses refers to."""

from __future__ import annotations

from dataclasses import dataclass

from napari_cryospin.runs.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Moment:
    """A run at one time.

    Attributes
    ----------
    epoch : int
        Epochs that were finished.
    snapshot : Snapshot, optional
        The snapshot that is meant; None: the end of the epoch, as the history has it.
    """

    epoch: int
    snapshot: Snapshot | None = None
