"""View of a run's status: stage, epoch, time left, loss, resolution, memory; its failure and its log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices, QFontDatabase
from qtpy.QtWidgets import (
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.verdict import DOUBTFUL, NOT_DETERMINED
from napari_cryospin.widgets.kit.parts import (
    ERROR,
    QUIET_TEXT,
    WARNING,
    button,
    duration,
    gib,
    heading_label,
    text_label,
    tint,
)

Standing = Literal[
    "none", "queued", "starting", "running", "paused", "gone", "lost", "waiting", "finished", "stopped", "failed"
]
STANDINGS: dict[Standing, str] = {
    "none": "No run yet",
    "queued": "Waiting for Slurm",
    "starting": "Starting: reading the particles",
    "running": "Running",
    "paused": "Paused",
    "gone": "Its process is gone",
    "lost": "Its folder is not there any more",
    "waiting": "Waiting for your switch: the planned epochs are over",
    "finished": "Finished",
    "stopped": "Stopped; it can be continued",
    "failed": "Failed",
}
STANDING_COLOURS: dict[Standing, str] = {"failed": ERROR, "lost": ERROR, "gone": WARNING, "waiting": WARNING}
EARLY_VERDICTS: dict[Standing, str] = dict.fromkeys(("running", "paused"), "Verdict so far")
EARLY_VERDICTS["waiting"] = "Verdict before the switch"
"""Standing -> words before a verdict that may still change, which is no warning yet."""
STATE_ROWS = ("particles", "stage", "epoch", "step", "loss", "resolution", "time", "device")
PLAIN_ERRORS = re.compile(r"^(FileNotFoundError|FileExistsError|PermissionError|OSError|ValueError): (?=.)")
"""Beginning of the message of a failure that means something to programmers alone."""
LOG_TAIL = 200_000  # characters at the end of a log that are shown


class RunState(QWidget):
    """View of a run's status."""

    def __init__(self) -> None:
        super().__init__()
        self.folder: Path | None = None
        self.failure: Event | None = None
        self.title = text_label(bold=True)
        self.message = text_label(colour=WARNING)
        self.verdict = text_label()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.rows = {name: text_label() for name in STATE_ROWS}
        form = QFormLayout()
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, label in self.rows.items():
            form.addRow(heading_label(name), label)
        self.log = button("Show log", "What the run wrote to its log, and why it failed", self.show_log)
        self.open_folder = button("Open folder", "Show the run's folder", self._open_folder)
        self.where = text_label(colour=QUIET_TEXT)
        self.note = QLineEdit()
        self.note.setPlaceholderText("A note on this run")
        self.note.setToolTip("What you tried, or found: kept in the run's folder, and shown among the recent runs")
        self.note.editingFinished.connect(self._write_note)
        buttons = QHBoxLayout()
        buttons.addWidget(self.log)
        buttons.addWidget(self.open_folder)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.title, self.verdict, self.message, self.bar):
            layout.addWidget(widget)
        layout.addLayout(form)
        layout.addWidget(self.where)
        layout.addWidget(self.note)
        layout.addLayout(buttons)

    def show_status(self, standing: Standing, status: Status | None, folder: Path | None) -> None:
        """Show how a run stands; `status` is None where none was read yet."""
        if folder != self.folder:
            self.folder = folder
            self.note.setText("" if folder is None else read_note(folder))
            self.rows["particles"].setText("" if folder is None else particles_of(folder))
        self.setVisible(folder is not None)
        self.title.show_text(STANDINGS[standing], STANDING_COLOURS.get(standing, ""), bold=True)
        self.where.setText("" if folder is None else str(folder))
        if status is None:
            return
        self.bar.setUpdatesEnabled(False)  # Otherwise the bar paints itself, and the window, at once.
        self.bar.setValue(round(1000 * status.progress))
        self.bar.setFormat(f"{100 * status.progress:.0f} %")
        self.bar.setUpdatesEnabled(True)
        self._show_verdict(status, standing)
        for name, text in status_texts(status, standing).items():
            self.rows[name].setText(text)
        if standing == "failed":
            self.show_message(plain_failure(status.message), ERROR)

    def _show_verdict(self, status: Status, standing: Standing) -> None:
        early = standing in EARLY_VERDICTS
        heading = EARLY_VERDICTS.get(standing, "Verdict")
        self.verdict.setText(f"{heading}: {status.verdict_text}" if status.verdict_text else "")
        self.verdict.setVisible(bool(status.verdict_text))
        tint(self.verdict, WARNING if status.verdict in DOUBTFUL and not early else "")

    def show_message(self, text: str, colour: str = WARNING) -> None:
        """Show a text that the user should read; empty: none."""
        self.message.setText(text)
        self.message.setVisible(bool(text))
        tint(self.message, colour)

    def show_log(self) -> None:
        """Open a dialog with the end of the run's log and the traceback of its failure."""
        if self.folder is not None:
            dialog = LogDialog(log_of(self.folder, self.failure), self)
            dialog.setWindowTitle(f"Log of {self.folder.name}")
            dialog.show()

    def _write_note(self) -> None:
        """Keep what the user noted, unless it is what was read."""
        if self.folder is None or self.note.text().strip() == read_note(self.folder):
            return
        try:
            RunFolder(self.folder).write_note(self.note.text())
        except OSError as error:
            self.show_message(f"The note could not be kept: {error}", ERROR)

    def _open_folder(self) -> None:
        if self.folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.folder)))


def read_note(folder: Path) -> str:
    """Read what the user noted of the run in a folder; empty: nothing, or it cannot be read."""
    try:
        return RunFolder(folder).note
    except OSError:
        return ""


def plain_failure(text: str) -> str:
    """Return why a run failed, without the name of an error whose text says all."""
    return PLAIN_ERRORS.sub("", text)


def particles_of(folder: Path) -> str:
    """Return the name of the particle file of the run in a folder; empty: it cannot be read."""
    try:
        return RunFolder(folder).source.particles.name
    except (OSError, ValueError):
        return ""


def start_takes(name: str) -> str:
    """Say which particles the next run is of; empty: none are open."""
    return f"Start takes the particles of {name}." if name else ""


class LogDialog(QDialog):
    """Dialog with text to read and to copy."""

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.text = QPlainTextEdit(text)
        self.text.setReadOnly(True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        QVBoxLayout(self).addWidget(self.text)
        self.resize(800, 500)
        bar = self.text.verticalScrollBar()
        if bar is not None:
            bar.setValue(bar.maximum())


def log_of(folder: Path, failure: Event | None) -> str:
    """Read what a run wrote: its log, the output of its own process, the traceback of its failure."""
    parts = []
    for name in ("log.txt", "output.txt"):
        path = folder / name
        if path.is_file() and path.stat().st_size:
            parts.append(f"--- {name}\n{path.read_text(errors='replace')[-LOG_TAIL:]}")
    if failure is not None:
        parts.append(f"--- failed at step {failure.step}\n{failure.detail.get('traceback', '')}")
    return "\n".join(parts) or "The run has written nothing yet."


def status_texts(status: Status, standing: Standing) -> dict[str, str]:
    """Write the rows of a status: row -> text."""
    left = status.time_left if standing == "running" else None
    time = duration(status.elapsed) + (f", about {duration(left)} left" if left is not None else "")
    memory = f", {gib(status.memory)} held" if status.memory is not None else ""
    return {
        "stage": status.stage,
        "epoch": _epoch_text(status, standing),
        "step": f"{status.step:,}",
        "loss": "not known yet" if status.loss is None else f"{status.loss:.5g}",
        "resolution": _resolution_text(status),
        "time": time,
        "device": (status.device or "not known yet") + memory,
    }


def _epoch_text(status: Status, standing: Standing) -> str:
    early = standing == "finished" and status.epoch < status.epochs
    return f"{status.epoch}, of {status.epochs} at most" if early else f"{status.epoch} of {status.epochs}"


def _resolution_text(status: Status) -> str:
    if status.verdict == NOT_DETERMINED:
        return "not told, as the poses are not determined"
    return "not known yet" if status.resolution is None else f"{status.resolution:.1f} Å"
