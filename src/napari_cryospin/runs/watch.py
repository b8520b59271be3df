"""Watcher of a run's folder, which reads only what is new since the last time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cryospin.io.files import FileMark
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True)
class News:
    """Everything that is new in a run's folder."""

    restarted: bool = False
    """Whether the run went back to a checkpoint: earlier news is void, and everything counts as new."""
    status: Status | None = None
    """New status; None: it is as before."""
    events: tuple[Event, ...] = ()
    """New events, the oldest first."""
    metrics: tuple[dict[str, Any], ...] = ()
    """New lines of metrics, the oldest first."""
    snapshot: Snapshot | None = None
    """New snapshot; None: there is none."""
    epochs: tuple[int, ...] | None = None
    """All epochs that have a history, ascending; None: they are as before."""

    def __bool__(self) -> bool:
        return any((self.restarted, self.status, self.events, self.metrics, self.snapshot, self.epochs is not None))


class FolderWatch:
    """A watcher of changes in a run's folder. Several can watch the same folder, from any process.

    Parameters
    ----------
    folder
        Folder of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._forget()

    def _forget(self) -> None:
        self._status: Status | None = None
        self._epochs: tuple[int, ...] = ()
        self._mark: FileMark | None = None
        self._events, self._metrics = (
            _Tail(self.folder.path / "events.jsonl"),
            _Tail(self.folder.path / "metrics.jsonl"),
        )

    def look(self) -> News:
        """Read what is new since the last call; the first call reads everything."""
        restarted = self._events.was_cut() or self._metrics.was_cut()
        if restarted:
            self._forget()
        status, mark = self._new_status(), self.folder.snapshot_mark()
        snapshot = self.folder.newest_snapshot() if mark != self._mark else None
        self._mark = mark
        epochs = tuple(sorted(self.folder.history_paths()))
        changed, self._epochs = epochs != self._epochs, epochs
        return News(
            restarted=restarted,
            status=status,
            events=tuple(Event(**values) for values in self._events.read()),
            metrics=tuple(self._metrics.read()),
            snapshot=snapshot,
            epochs=epochs if changed else None,
        )

    def _new_status(self) -> Status | None:
        status = self.folder.read_status()
        if status == self._status:
            return None
        self._status = status
        return status


class _Tail:
    """A reader of the lines that were appended to a .jsonl file since the last reading."""

    def __init__(self, path: Path) -> None:
        self.path, self.offset = path, 0

    def was_cut(self) -> bool:
        return self.path.exists() and self.path.stat().st_size < self.offset

    def read(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            text = file.read()
        end = text.rfind(b"\n") + 1  # The last line may not be complete yet.
        self.offset += end
        for line in text[:end].splitlines():
            yield json.loads(line)
