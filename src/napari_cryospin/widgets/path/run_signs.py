"""Signs of a run outside the panels: the title of napari's window, and a bar in its activity dock."""

from __future__ import annotations

import io
import weakref
from typing import TYPE_CHECKING

from napari.utils import progress
from qtpy.QtCore import QObject, QTimer

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.widgets.path.model import PathModel

if TYPE_CHECKING:
    from napari.viewer import Viewer

BAR_EVERY = 500  # ms between two movements of the bar
BAR_PARTS = 1000
"""Parts into which the bar divides a run."""


class RunSigns(QObject):
    """Title and activity bar that follow a viewer's run.

    Parameters
    ----------
    viewer
        The viewer.
    path
        Its path; also the parent.
    """

    def __init__(self, viewer: Viewer, path: PathModel) -> None:
        super().__init__(path)
        self.viewer: Viewer = weakref.proxy(viewer)  # The session must not keep its viewer alive.
        self.path = path
        self.plain_title = viewer.title
        self.bar: progress | None = None
        self._moving = False
        # napari's bar handles events while it moves: moved from within an event of the run, which brings the next one,
        # it would go ever deeper where the window is slower than the news.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(BAR_EVERY)
        self._soon.timeout.connect(self.move_bar)
        path.session.status_changed.connect(self.refresh)
        path.session.run_changed.connect(self.refresh)
        path.session.closing.connect(self._close)
        self.refresh()

    def refresh(self, _: object = None) -> None:
        """Show how far the run is; the bar follows in a moment."""
        session = self.path.session
        status, folder = session.status, session.folder
        title = self.plain_title
        if folder is not None and status is not None:
            title = f"{folder.path.name}, epoch {status.epoch} of {status.epochs} - {self.plain_title}"
        if title != self.viewer.title:
            self.viewer.title = title
        if status is None or folder is None or not self.path.control.alive:
            self._close()
        elif not self._soon.isActive():
            self._soon.start()

    def move_bar(self) -> None:
        """Move the bar to where the run is, unless that is going on already."""
        status, folder = self.path.session.status, self.path.session.folder
        if self._moving or status is None or folder is None or not self.path.control.alive:
            return
        self._moving = True
        try:
            self._move_to(folder, status)
        finally:
            self._moving = False

    def _move_to(self, folder: RunFolder, status: Status) -> None:
        if self.bar is None:
            # Without a file of its own, the bar would be printed where there is no activity dock.
            self.bar = progress(total=BAR_PARTS, desc=folder.path.name, file=io.StringIO())
        bar = self.bar
        bar.set_description(f"{folder.path.name}: {status.stage}")
        if self.bar is bar:  # napari handles events meanwhile, in which the run may have ended.
            bar.update(round(BAR_PARTS * status.progress) - bar.n)

    def _close(self) -> None:
        self._soon.stop()
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def show_run_signs(viewer: Viewer, path: PathModel) -> RunSigns:
    """Return the signs of a viewer's run, which the first call makes."""
    found = path.findChild(RunSigns)
    return found if isinstance(found, RunSigns) else RunSigns(viewer, path)
