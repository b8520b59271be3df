"""One moment of a run, to which a question about its maps and poses refers."""

from __future__ import annotations

from dataclasses import dataclass

from napari_cryospin.runs.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Moment:
    """A run at one time.

    Attributes
    ----------
    epoch : int
        Number of epochs that were finished.
    snapshot : Snapshot, optional
        The snapshot at this moment; None: the moment is the end of the epoch, which is in the history.
    """

    epoch: int
    snapshot: Snapshot | None = None
