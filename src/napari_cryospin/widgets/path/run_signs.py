"""Signs of a run outside the panels: the title of napari's window, and a bar in its activity dock."""

from __future__ import annotations

import io
import weakref
from typing import TYPE_CHECKING

from napari.utils import progress
from qtpy.QtCore import QObject

from napari_cryospin.widgets.path.model import PathModel

if TYPE_CHECKING:
    from napari.viewer import Viewer

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
        path.session.status_changed.connect(self.refresh)
        path.session.run_changed.connect(self.refresh)
        path.session.closing.connect(self._close)
        self.refresh()

    def refresh(self, _: object = None) -> None:
        """Show how far the run is."""
        session = self.path.session
        status, folder = session.status, session.folder
        title = self.plain_title
        if folder is not None and status is not None:
            title = f"{folder.path.name}, epoch {status.epoch} of {status.epochs} - {self.plain_title}"
        if title != self.viewer.title:
            self.viewer.title = title
        if status is None or folder is None or not self.path.control.alive:
            self._close()
            return
        if self.bar is None:
            # Without a file of its own, the bar would be printed where there is no activity dock.
            self.bar = progress(total=BAR_PARTS, desc=folder.path.name, file=io.StringIO())
        bar = self.bar
        bar.set_description(f"{folder.path.name}: {status.stage}")
        if self.bar is bar:  # napari handles events meanwhile, in which the run may have ended.
            bar.update(round(BAR_PARTS * status.progress) - bar.n)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def show_run_signs(viewer: Viewer, path: PathModel) -> RunSigns:
    """Return the signs of a viewer's run, which the first call makes."""
    found = path.findChild(RunSigns)
    return found if isinstance(found, RunSigns) else RunSigns(viewer, path)
