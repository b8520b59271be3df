"""The OpenGL context of napari's canvas, which must be the present one while napari removes a layer.

napari 0.9 carries out the pending OpenGL commands of its canvas when a layer is removed, not only when it draws. The
present context is then another one, such as that with which Qt puts a window together: a program is chosen there, and
taken to be chosen in the canvas, which then draws with none, or with one that was deleted, and the process dies.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.viewer import Viewer


def make_canvas_current(viewer: Viewer) -> None:
    """Make the OpenGL context of a viewer's canvas the present one; without a canvas, do nothing."""
    # There is no public way to the canvas, of which napari warns. Of a window that closes, Qt may have deleted it.
    with contextlib.suppress(AttributeError, RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        viewer.window._qt_viewer.canvas.native.makeCurrent()
