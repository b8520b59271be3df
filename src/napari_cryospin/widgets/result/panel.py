"""Panel of a run's result: what came out, and how far it can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cryospin.widgets.kit.parts import text_label
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer

RESULT_EMPTY_TEXT = "The result of a run appears here when the run ends or is stopped."


class ResultPanel(Panel):
    """Panel that shows the result of a run.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, RESULT_EMPTY_TEXT)
        self.verdict = text_label()
        self.content.addWidget(self.verdict)
        self.content.addStretch(1)
        self.session.status_changed.connect(self._show)
        self._show()

    def _show(self, _: object = None) -> None:
        status = self.session.status
        if status is not None and not self.session.live:
            self.verdict.setText(status.verdict_text)
            self.show_content()
