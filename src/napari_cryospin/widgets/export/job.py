"""Job that writes an export. The session owns it, so it goes on when the panel is closed."""

from __future__ import annotations

import threading
from pathlib import Path

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, Signal

from napari_cryospin.exporters.options import ExportCancelledError, Exported, ExportOptions
from napari_cryospin.exporters.run_results import RunResults
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.exporters.table import export_run
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.session.session import Session


class ExportJob(QObject):
    """Job that writes exports in a thread, one at a time.

    Parameters
    ----------
    session
        Session; also the parent.

    Attributes
    ----------
    busy, share
        Whether an export is being written, and the share of it that is done, 0 to 1.
    message, failed
        Text on the present or the last export for the user; whether the last one failed.
    written
        Path of the last export; None: there was none.
    """

    changed = Signal()
    _progressed = Signal(float, str)  # emitted by the thread

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.busy, self.share, self.message, self.failed = False, 0.0, "", False
        self.written: Path | None = None
        self._stop = threading.Event()
        self._worker = Worker("cryospin-export", self)
        self._progressed.connect(self._progress)
        session.run_changed.connect(self._new_run)
        session.closing.connect(self._close)

    def start(
        self, run: RunFolder | RunResults, to: str, out: Path, selection: Selection, options: ExportOptions
    ) -> None:
        """Start an export; the parameters are those of `export_run`."""
        self._stop = stop = threading.Event()
        self.busy, self.share, self.message, self.failed, self.written = True, 0.0, "", False, None
        report = self._progressed.emit
        self._worker.ask(
            lambda: (out, export_run(run, to, out, selection, options, report, stop)),
            then=self._done,
            failed=self._failed,
        )
        self.changed.emit()

    def cancel(self) -> None:
        """Cancel the export; no file is left half-written."""
        self._stop.set()
        self.message = "Cancelling..."
        self.changed.emit()

    def _progress(self, share: float, text: str) -> None:
        self.share = share
        if self.busy and not self._stop.is_set():
            self.message = text
        self.changed.emit()

    def _done(self, answer: tuple[Path, Exported]) -> None:
        self.written, exported = answer
        self.message = "\n".join((f"Wrote {self.written}", *map(with_fields, exported.notes)))
        self._end()
        show_info(f"Exported to {self.written}")

    def _failed(self, error: Exception) -> None:
        cancelled = isinstance(error, ExportCancelledError)
        self.message, self.failed = (
            ("Cancelled: nothing was written." if cancelled else with_fields(error)),
            not cancelled,
        )
        self._end()
        if not cancelled:
            show_error(f"Export: {with_fields(error)}")

    def _end(self) -> None:
        self.busy = False
        self.changed.emit()

    def _new_run(self) -> None:
        if not self.busy:
            self.message, self.failed, self.written = "", False, None
            self.changed.emit()

    def _close(self) -> None:
        self._stop.set()
        self._worker.end()


def export_job_of(session: Session) -> ExportJob:
    """Return the session's job of exports, which the first call makes."""
    found = session.findChild(ExportJob)
    return found if isinstance(found, ExportJob) else ExportJob(session)
