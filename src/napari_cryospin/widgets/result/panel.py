"""Panel of a run's result: what came out, how far it can be trusted, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.views.run_view import RunView
from napari_cryospin.views.summary import RunSummary
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.parts import button
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.result.card import ResultCard
from napari_cryospin.widgets.result.page import save_page
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer

RESULT_EMPTY_TEXT = "What comes out of a run appears here when it ends or is stopped."
READING_TEXT = "Reading the results..."
PAGE_FORMATS = "PDF (*.pdf);;Picture (*.png)"


class ResultPanel(Panel):
    """Panel that shows the result of a run.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, RESULT_EMPTY_TEXT)
        self.worker = Worker("cryospin-result", self)
        self._asked: tuple[Path, str, int, bool] | None = None  # what the summary that is read is of
        self.card = ResultCard()
        self.content.addWidget(self.card)
        row = QHBoxLayout()
        self.copy = button("Copy", "Copy all of this as text", self._copy)
        self.save = button("Save...", "Save this page as a PDF or as a picture (PNG)", self.ask_place)
        row.addWidget(self.copy)
        row.addWidget(self.save)
        row.addStretch(1)
        self.content.addLayout(row)
        self.content.addStretch(1)
        session = self.session
        for signal in (session.run_changed, session.status_changed, session.hand_changed):
            signal.connect(self._read)
        session.closing.connect(self.worker.end)
        self._read()

    def _read(self, _: object = None) -> None:
        """Let the thread read the results of a run that has ended, once."""
        session, status, folder = self.session, self.session.status, self.session.folder
        if status is None or folder is None or session.live:
            self._asked = None
            self.show_empty(RESULT_EMPTY_TEXT)
            return
        wanted = folder.path, status.state, status.step, session.hand_flipped
        if wanted == self._asked:
            return
        self._asked = wanted
        if self.is_empty:
            self.show_empty(READING_TEXT)
        flipped = session.hand_flipped
        self.worker.ask(lambda: (wanted, summarise(folder, flipped)), then=self._take, failed=self._reading_failed)

    def _take(self, answer: tuple[tuple[Path, str, int, bool], RunSummary]) -> None:
        wanted, summary = answer
        if wanted == self._asked:
            self.card.show_summary(summary)
            self.show_content()

    def _reading_failed(self, error: Exception) -> None:
        if isinstance(error, FileNotFoundError):
            self.show_empty("This run has no results: it ended before its first epoch.")
        else:
            self.show_empty(f"The results cannot be read: {with_fields(error)}")

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if self.card.summary is not None and clipboard is not None:
            clipboard.setText(self.card.summary.text)
            show_info("The result was copied as text.")

    def ask_place(self) -> None:
        """Let the user choose a file, and save the page there."""
        summary, folder = self.card.summary, self.session.folder
        if summary is None or folder is None:
            return
        start = str(folder.path / f"{folder.path.name}.pdf")
        name, chosen = QFileDialog.getSaveFileName(self, "Save the result", start, PAGE_FORMATS)
        if not name:
            return
        path = Path(name)
        if path.suffix.lower() not in (".pdf", ".png"):
            path = path.with_name(path.name + (".png" if "png" in chosen else ".pdf"))
        try:
            save_page(summary, path)
        except OSError as error:
            show_error(with_fields(error))


def summarise(folder: RunFolder, flipped: bool) -> RunSummary:
    """Read and summarise the results of a run."""
    return RunView(folder).summary(flipped=flipped)
