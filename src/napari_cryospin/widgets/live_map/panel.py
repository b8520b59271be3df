"""Panel of the live map: the epochs of the run, how the map is drawn, and slices through it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QObject, QSize, QTimer, Signal
from qtpy.QtWidgets import QBoxLayout, QHBoxLayout, QPushButton, QToolButton, QWidget

from napari_cryospin.runs.verdict import NOT_DETERMINED
from napari_cryospin.widgets.kit.colours import theme_of
from napari_cryospin.widgets.kit.line_label import LineLabel
from napari_cryospin.widgets.kit.redraw import lay_out
from napari_cryospin.widgets.live_map.class_row import ClassRow
from napari_cryospin.widgets.live_map.controls import MapControls
from napari_cryospin.widgets.live_map.layers import live_map_of
from napari_cryospin.widgets.live_map.slices import Slices
from napari_cryospin.widgets.live_map.time_slider import TimeSlider
from napari_cryospin.widgets.live_map.tools_menu import MapToolsButton
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QResizeEvent, QShowEvent

    from napari_cryospin.views.map_pictures import MapPicture
    from napari_cryospin.widgets.session.session import Session

LIVE_MAP_EMPTY_TEXT = "Start a run, or open a run's folder: its map appears here and grows as the run goes on."
LIVE_MAP_WAITING_TEXT = "The run has begun; its first map is on its way."
LIVE_MAP_NONE_TEXT = "The run ended before its first map."
EPOCH_PACE = 350
"""Shortest time for which an epoch is shown while the epochs are played, ms."""


class LiveMapPanel(Panel):
    """Panel with the controls of the live map, which napari's canvas shows.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    extended = Signal()  # the row of classes is seen for the first time
    grown = Signal(int)  # by how many pixels it needs more height than before, or less, to show a part or to hide it

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, empty=LIVE_MAP_EMPTY_TEXT)
        self.live = live_map_of(napari_viewer)
        self._height = -1  # of the content at the last layout
        self._make_time_row()
        self.controls = MapControls(self.live)
        self.classes = ClassRow(self.live)
        self.classes.appeared.connect(self.extended)
        self.slices = Slices()
        self.slices.set_theme(theme_of(napari_viewer))
        self._make_slices_button()
        self.content.setSpacing(4)
        self.content.addLayout(self.top)
        self.content.addWidget(self.classes)
        self.content.addWidget(self.controls)
        self.content.addWidget(self.told)
        self.content.addWidget(self.slices)
        self.content.addStretch(1)
        inner = self.content.parentWidget()
        assert inner is not None
        inner.installEventFilter(self)
        session = self.session
        for signal in (session.epochs_changed, session.events_arrived, session.epoch_shown):
            signal.connect(self._show_time)
        session.run_changed.connect(self._new_run)
        session.status_changed.connect(self._show_state)
        session.theme_changed.connect(self._follow_theme)
        self.live.drawn.connect(self._show_picture)
        self.live.failed.connect(self._show_failure)
        self._new_run()
        self._show_picture(self.live.picture)

    @property
    def extension(self) -> int:
        """Height, pixels, that the row of classes adds to the panel; 0 where it is hidden."""
        return 0 if self.classes.isHidden() else self.classes.sizeHint().height() + self.content.spacing()

    def _make_time_row(self) -> None:
        self.play = QToolButton()
        self.play.setText("▶")
        self.play.setCheckable(True)
        self.play.setToolTip("Play the run's maps from the epoch that is shown on")
        self.play.toggled.connect(self._play)
        self.time = TimeSlider()
        self.time.chosen.connect(self.session.show_epoch)
        self.now = QPushButton("Now")
        self.now.setToolTip("Follow the run")
        self.now.clicked.connect(self._follow_run)
        self.caption = LineLabel()
        row = QHBoxLayout()
        row.setSpacing(4)
        for part in (self.play, self.time, self.now):
            row.addWidget(part)
        self.top = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self.top.addLayout(row, 4)
        self.top.addWidget(self.caption, 5)
        self._pace = QTimer(self)
        self._pace.setSingleShot(True)
        self._pace.setInterval(EPOCH_PACE)
        self._pace.timeout.connect(self._next_epoch)

    def _make_slices_button(self) -> None:
        self.slices_button = QPushButton("Slices")
        self.slices_button.setCheckable(True)
        self.slices_button.setToolTip("Three slices through the map; drag their lines, or turn the wheel over them")
        self.slices_button.toggled.connect(self._fold_slices)
        self.controls.end.addWidget(self.slices_button)
        self.tools = MapToolsButton(self.live)
        self.tools.told.connect(self._tell)
        self.tools.comparisons.pair.retold.connect(self._retell)
        self.controls.end.addWidget(self.tools)
        self.told = LineLabel()
        self.told.hide()
        self.slices.setVisible(False)
        self.slices_button.setChecked(self.live.slices_shown)
        self.slices.moved.connect(self._slices_moved)

    # Time

    def _new_run(self) -> None:
        self.play.setChecked(False)
        self._tell("")
        self._show_time()
        if self.live.picture is None:
            self._show_waiting()

    def _show_waiting(self) -> None:
        """Say why there is no map."""
        session = self.session
        over = session.status is not None and not session.live
        text = LIVE_MAP_NONE_TEXT if over else LIVE_MAP_WAITING_TEXT
        self.show_empty(LIVE_MAP_EMPTY_TEXT if session.folder is None else text)

    def _show_time(self, _: object = None) -> None:
        session = self.session
        self.time.show_run(session.epochs, switched_after(session), session.shown_epoch)
        self.now.setEnabled(session.shown_epoch is not None)
        self._show_state()
        self.play.setEnabled(bool(session.epochs))

    def _show_state(self, _: object = None) -> None:
        """Name the right end of the slider, and update the caption: results may have a better resolution."""
        if self.is_empty and self.session.snapshot is None:
            self._show_waiting()
        text = "Now" if self.session.live else "End"
        if self.now.text() != text:
            self.now.setText(text)
            if self.live.picture is not None:
                self.caption.setText(picture_caption(self.session, self.live.picture))

    def _follow_run(self) -> None:
        self.play.setChecked(False)
        self.session.show_epoch(None)

    def _play(self, on: bool) -> None:
        self.play.setText("⏸" if on else "▶")
        if not on:
            self._pace.stop()
        elif self.session.epochs:
            if self.session.shown_epoch in (None, self.session.epochs[-1]):
                self.session.show_epoch(self.session.epochs[0])
            self._pace.start()

    def _next_epoch(self) -> None:
        epochs, shown = self.session.epochs, self.session.shown_epoch
        later = [epoch for epoch in epochs if shown is not None and epoch > shown]
        if not later:
            self._follow_run()
        elif self.live.picture is not None and self.live.picture.source.epoch == shown:
            self.session.show_epoch(later[0])
            self._pace.start()
        else:  # The picture is still being made.
            self._pace.start()

    # The picture

    def _show_picture(self, picture: MapPicture | None) -> None:
        if picture is None:
            return
        self.show_content()
        self.caption.setText(picture_caption(self.session, picture))
        self.controls.show_picture(picture)
        if self.slices.isVisible():
            self._fill_slices(picture)
        lay_out()

    def _show_failure(self, text: str) -> None:
        self.play.setChecked(False)
        self.caption.setText(text)

    def _tell(self, text: str) -> None:
        """Show what a tool has found or done, beneath the controls."""
        self.told.setText(text)
        self._set_shown(self.told, bool(text))

    def _retell(self, before: str, now: str) -> None:
        """Bring what is told up to date, if it is still told."""
        if self.told.text() == before:
            self.told.setText(now)

    def _set_shown(self, part: QWidget, shown: bool) -> None:
        """Show or hide a part of the panel, and ask for the height that it needs, or give it back."""
        if shown == part.isHidden():
            part.setVisible(shown)
            height = part.sizeHint().height() + self.content.spacing()
            self.grown.emit(height if shown else -height)

    # Slices

    def _fold_slices(self, shown: bool) -> None:
        self.live.slices_shown = shown
        self._set_shown(self.slices, shown)
        if shown and self.live.picture is not None:
            self._fill_slices(self.live.picture)
        self.updateGeometry()

    def _fill_slices(self, picture: MapPicture) -> None:
        self.slices.show_map(picture.density, picture.pixel_size, picture.statistics)
        if self.live.slices_at is not None:
            self.slices.move_to(self.live.slices_at)

    def _slices_moved(self, position: np.ndarray) -> None:
        self.live.slices_at = position

    # Appearance

    def _follow_theme(self) -> None:
        self.slices.set_theme(theme_of(self.viewer))

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        if self.live.picture is not None and self.slices_button.isChecked():
            self._fill_slices(self.live.picture)  # Hidden slices were not drawn.

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        """Turn rows into columns where they do not fit; with half sets they are longer."""
        margins = self.content.contentsMargins()
        narrow = self.width() < self.controls.width_of_row + margins.left() + margins.right()
        direction = QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
        if self.top.direction() != direction:
            self.top.setDirection(direction)
            self.controls.stack(narrow)
            self.updateGeometry()

    def eventFilter(self, inner: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._arrange()
            height = self.content.sizeHint().height()
            if height != self._height:  # A text of the same height needs no new layout.
                self._height = height
                self.updateGeometry()  # The scroll area in between does not pass the request on.
        return False

    def sizeHint(self) -> QSize:
        return QSize(max(self.minimumWidth(), 480), self.content.sizeHint().height() + 6)

    def minimumSizeHint(self) -> QSize:
        return QSize(self.minimumWidth(), self.sizeHint().height())


def switched_after(session: Session) -> int | None:
    """Return the last epoch before the switch to auto-decoding; None: there was no switch yet."""
    for event in reversed(session.events):
        if event.kind == "switched":
            return int(event.detail.get("epoch", 0))
    return None


def picture_caption(session: Session, picture: MapPicture) -> str:
    """Write the caption of a picture: epoch, stage, step, resolution, and its note."""
    snapshot, epoch = picture.source.snapshot, picture.source.epoch
    if snapshot is not None:
        where = {"step": snapshot.step, "stage": snapshot.stage, "resolution": snapshot.resolution}
        epoch, status = snapshot.epoch, session.status
        if status is not None and status.resolution is not None and status.step == snapshot.step:
            where["resolution"] = status.resolution
    else:
        ended = (line for line in session.metrics if line.get("epoch_ended") and line.get("epoch") == epoch)
        where = next(ended, {})
    parts = [f"Epoch {epoch}"]
    if picture.classes > 1:
        parts.append(f"class {picture.class_number} of {picture.classes}")
    if where.get("stage"):
        parts.append(str(where["stage"]))
    status = session.status
    looks_like = "" if status is None or snapshot is None else status.looks_like.removeprefix("looks ")
    crowded = looks_like or picture.classes > 1
    if where.get("step") is not None and not crowded:  # There is no room for both.
        parts.append(f"step {where['step']:,}")
    told = session.status is None or session.status.verdict != NOT_DETERMINED
    # With several classes, the run's resolution is that of the largest one; the row of classes says so.
    resolution = where.get("resolution") if told and picture.classes == 1 else None
    if isinstance(resolution, float) and math.isfinite(resolution):
        parts.append(f"{resolution:.1f} Å")
    if looks_like:
        parts.append(looks_like)
    if picture.note:
        parts.append(picture.note)
    return " · ".join(parts)
