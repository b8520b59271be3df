"""The page over the empty canvas: how to begin, the last runs, and what will appear here."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMainWindow, QMenu, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_cryospin.views.run_glance import RunGlance, run_glance
from napari_cryospin.widgets.kit.colours import theme_of
from napari_cryospin.widgets.kit.focus_ring import FocusMark
from napari_cryospin.widgets.kit.parts import button, text_label
from napari_cryospin.widgets.kit.picture_label import image_of_picture
from napari_cryospin.widgets.kit.text_size import apply_text_size
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.particles.samples import SAMPLES
from napari_cryospin.widgets.path.recent import recent_runs
from napari_cryospin.widgets.session.guard import START_PAGE
from napari_cryospin.widgets.session.session import session_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

GLANCE = 112  # px, of a run's picture
SHOWN_RUNS = 4
PAGE_SPACE = 640  # px, width of the content
CARD_HEIGHT = 64  # px
TITLE_SIZE = 1.6  # times the usual size
TITLE = "Ab-initio reconstruction with cryoSPIN"
CARDS = {
    "particles": (
        "Open my particles...",
        ".star, .csg, .cs, .mrcs",
        "RELION, cryoSPARC, or a stack alone; or drop files",
    ),
    "sample": ("Try a sample", "3,000 simulated particles", "Particles simulated from a known map: the truth is known"),
    "run": ("Watch a run...", "one that goes on, or ended", "The folder of a run, wherever it is driven"),
}
"""Name -> title, what it takes, and tooltip of a card."""


class StartPage(QWidget):
    """Page over napari's canvas while nothing is shown there.

    Parameters
    ----------
    window
        Window of napari, over whose central widget the page lies.
    viewer
        Its viewer.
    """

    particles_wanted = Signal()
    sample_wanted = Signal(str)  # key of a sample
    run_wanted = Signal()
    run_chosen = Signal(object)  # Path of a run's folder

    def __init__(self, window: QMainWindow, viewer: Viewer) -> None:
        centre = window.centralWidget()
        super().__init__(centre)
        self.viewer: Viewer = weakref.proxy(viewer)  # The window must not keep its viewer alive.
        self.session = session_of(viewer)
        self.worker = Worker("cryospin-recent-runs", self)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setObjectName(START_PAGE)
        self._build()
        self.mark = FocusMark(self, self)
        assert centre is not None
        centre.installEventFilter(self)
        session = self.session
        for signal in (session.particles_changed, session.run_changed, session.snapshot_arrived):
            signal.connect(self.refresh)
        session.status_changed.connect(self._follow_status)
        for change in (viewer.layers.events.inserted, viewer.layers.events.removed):
            change.connect(self._layers_changed)
        session.theme_changed.connect(self._retheme)
        session.closing.connect(self.worker.end)
        self._retheme()
        self.refresh()
        self.worker.ask(lambda: glances(recent_runs()[:SHOWN_RUNS]), then=self._show_runs)

    # Widgets

    def _build(self) -> None:
        inner = QWidget()
        inner.setMaximumWidth(PAGE_SPACE)
        column = QVBoxLayout(inner)
        column.setSpacing(12)
        self.title = QLabel(TITLE)
        self.title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title.setWordWrap(True)
        self.message = text_label()
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.beginnings = QWidget()
        row = QHBoxLayout(self.beginnings)
        row.setContentsMargins(0, 0, 0, 0)
        self.cards = {name: _card(name) for name in CARDS}
        for card in self.cards.values():
            row.addWidget(card, 1)
        self.cards["particles"].clicked.connect(self.particles_wanted)
        self.cards["run"].clicked.connect(self.run_wanted)
        self._add_samples()
        self.recent_title = text_label("Recent runs", bold=True)
        self.recent = QHBoxLayout()
        for widget in (self.title, self.message, self.beginnings, self.recent_title):
            column.addWidget(widget)
        column.addLayout(self.recent)
        self.recent_title.hide()
        outer = QVBoxLayout(self)
        outer.addStretch(2)
        middle = QHBoxLayout()
        middle.addStretch(1)
        middle.addWidget(inner, 100)
        middle.addStretch(1)
        outer.addLayout(middle)
        outer.addStretch(3)

    def _add_samples(self) -> None:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for sample in SAMPLES.values():
            action = menu.addAction(sample.title)
            assert action is not None
            action.setToolTip(sample.about)
            action.setData(sample.key)
        menu.triggered.connect(lambda action: self.sample_wanted.emit(action.data()))
        self.cards["sample"].setMenu(menu)

    def _show_runs(self, found: list[RunGlance]) -> None:
        for one in found:
            self.recent.addWidget(self._run_button(one))
        self.recent.addStretch(1)
        self.recent_title.setVisible(bool(found) and not self.beginnings.isHidden())

    def _run_button(self, one: RunGlance) -> QToolButton:
        made = QToolButton()
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        made.setAutoRaise(True)
        if one.picture is not None:
            made.setIcon(QIcon(QPixmap.fromImage(image_of_picture(one.picture))))
        made.setIconSize(QSize(GLANCE, GLANCE))
        metrics = made.fontMetrics()
        name = metrics.elidedText(one.path.name, Qt.TextElideMode.ElideMiddle, GLANCE + 20)
        note = metrics.elidedText(one.note, Qt.TextElideMode.ElideRight, GLANCE + 20)
        made.setText("\n".join(filter(None, (name, one.state, note))))
        made.setToolTip(f"Watch the run in {one.path}" + (f"\n{one.note}" if one.note else ""))
        made.clicked.connect(lambda _=False, path=one.path: self.run_chosen.emit(path))
        return made

    # What is shown

    def _layers_changed(self, _: Any = None) -> None:
        QTimer.singleShot(0, self.refresh)  # A layer that is being added is not visible or hidden yet.

    @property
    def wanted(self) -> bool:
        """Whether nothing is to be seen on the canvas."""
        return self.session.snapshot is None and not any(layer.visible for layer in self.viewer.layers)

    def refresh(self, _: Any = None) -> None:
        """Show the page if the canvas is empty, with what will appear there."""
        try:
            wanted = self.wanted
        except ReferenceError:  # The viewer is being closed.
            return
        session = self.session
        text = ""
        if session.folder is not None:
            over = session.status is not None and not session.live
            what = "ended before its first map" if over else "has begun. Its first map appears here"
            text = f"{session.folder.path.name} {what}."
        elif session.particles is not None and session.source is not None:
            name = session.source.particles.name
            text = f"{len(session.particles):,} particles of {name} are open. Set up a run on the right, and start it."
        self.message.setText(text)
        self.message.setVisible(bool(text))
        self.beginnings.setVisible(not text)
        self.recent_title.setVisible(not text and self.recent.count() > 1)
        for index in range(self.recent.count()):
            item = self.recent.itemAt(index)
            widget = None if item is None else item.widget()
            if widget is not None:
                widget.setVisible(not text)
        self.setVisible(wanted)
        if wanted:
            self._place()

    def _follow_status(self, _: object) -> None:
        """Say so where a run ended before its first map."""
        if self.isVisible():
            self.refresh()

    def _place(self) -> None:
        parent = self.parentWidget()
        if parent is not None:
            self.setGeometry(parent.rect())
            self.raise_()

    def _retheme(self) -> None:
        theme = theme_of(self.viewer)
        apply_text_size(self)
        # napari's own style sheet sets the size of fonts, which a font of the label would not override.
        self.title.setStyleSheet(f"font-size: {TITLE_SIZE * theme.points:.0f}pt;")
        self.setStyleSheet(f"#{START_PAGE} {{ background-color: {theme.background}; }}")

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return False


def _card(name: str) -> QPushButton:
    title, about, tip = CARDS[name]
    made = button(f"{title}\n{about}", tip)
    made.setMinimumHeight(CARD_HEIGHT)
    return made


def glances(paths: list[Path]) -> list[RunGlance]:
    """Look at the runs in these folders, without those that are gone."""
    found = (run_glance(path, GLANCE) for path in paths)
    return [one for one in found if one is not None]
