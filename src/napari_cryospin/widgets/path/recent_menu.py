"""Menu of the runs that were watched last: name, how each stands, and what the user noted of it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QWidget

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.views.run_glance import state_in_words
from napari_cryospin.widgets.path.recent import recent_runs

LONGEST_NOTE = 60  # characters of a note in the menu


class RecentRunsMenu(QMenu):
    """Menu of recent runs, read anew when it opens; runs whose folder is gone are left out."""

    chosen = Signal(object)  # Path of a run's folder

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Recent runs", parent)
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self.fill)
        self.triggered.connect(lambda action: self.chosen.emit(action.data()))

    def fill(self) -> None:
        """List the runs as they stand now."""
        self.clear()
        for path in recent_runs():
            text = line_of(path)
            action = self.addAction(text) if text else None
            if action is not None:
                action.setData(path)
                action.setToolTip(str(path))
        if self.isEmpty():
            self.setToolTip("No run was watched yet")


def line_of(path: Path) -> str:
    """Write the run in a folder in a line; empty: there is none any more."""
    try:
        folder = RunFolder(path)
        parts = [path.name, state_in_words(folder.read_status()), folder.note]
    except (OSError, ValueError):
        return ""
    text = ": ".join([parts[0], ", ".join(filter(None, parts[1:]))])
    return text if len(text) <= LONGEST_NOTE + len(path.name) else f"{text[: LONGEST_NOTE + len(path.name)]}..."
