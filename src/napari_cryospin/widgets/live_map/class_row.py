"""Row with the classes of a run as small live maps; hidden where there is one class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_cryospin.views.class_pictures import ClassPicture, class_pictures
from napari_cryospin.widgets.kit.redraw import lay_out
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.live_map.class_button import ClassButton
from napari_cryospin.widgets.live_map.class_commands import ClassCommands

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

    from napari_cryospin.views.map_pictures import MapPicture
    from napari_cryospin.widgets.live_map.layers import LiveMap

SPACING = 4  # pixels between two buttons


class ClassRow(QWidget):
    """The classes of the run that a live map shows.

    Parameters
    ----------
    live
        Live map, of which a click on a class sets the class that is drawn.
    """

    appeared = Signal()  # the row is shown for the first time

    def __init__(self, live: LiveMap) -> None:
        super().__init__()
        self.live = live
        self._appeared = False
        self.shown: tuple[ClassPicture, ...] = ()
        self.buttons: list[ClassButton] = []
        self.group = QButtonGroup(self)
        self.commands = ClassCommands(live.session)
        self._asked: object = None  # what the newest pictures were asked for
        self._columns = 0
        # Qt resizes the row while it goes through its layouts, and dies if their items are replaced meanwhile.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._arrange)
        self._build()
        self.worker = Worker("cryospin-classes", self)
        self.group.idClicked.connect(lambda number: live.set_display(class_number=number))
        self.commands.merging.connect(lambda number: live.set_display(class_number=number))
        live.drawn.connect(self._follow)
        live.session.status_changed.connect(self._follow_status)
        live.session.closing.connect(self.worker.end)
        self._follow(live.picture)

    def _build(self) -> None:
        self.grid = QGridLayout()
        self.grid.setSpacing(SPACING)
        row = QHBoxLayout()
        row.addLayout(self.grid)
        row.addStretch(1)
        row.addWidget(self.commands)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.commands.message)

    # What is asked

    def _follow(self, picture: MapPicture | None) -> None:
        """Ask for the pictures of the classes at the moment that is drawn, unless they are known already."""
        if picture is None or picture.classes == 1:
            self._asked = None
            self._show(())
            return
        display, folder = picture.display, self.live.session.folder
        asked = picture.source, display.half, display.flipped, self.live.session.live
        if asked != self._asked and folder is not None:
            self._asked = asked
            self.worker.ask(
                lambda: (asked, class_pictures(folder, picture.source, display)), then=self._take, failed=self._failed
            )
        self._show(self.shown)

    def _follow_status(self, _: object) -> None:
        """Follow the end of a run: it has results then, and obeys no command."""
        self._follow(self.live.picture)

    def _take(self, answer: tuple[object, tuple[ClassPicture, ...]]) -> None:
        asked, shown = answer
        if asked == self._asked:
            self._show(shown)

    def _failed(self, error: Exception) -> None:
        self._show(())
        self.live.failed.emit(f"the classes cannot be shown: {error}")

    # What is shown

    def _show(self, shown: tuple[ClassPicture, ...]) -> None:
        new, self.shown = shown is not self.shown, shown
        while len(self.buttons) < len(shown):
            self._add_button()
        for place, one in enumerate(self.buttons):
            one.setVisible(place < len(shown))
            if new and place < len(shown):
                one.show_class(shown[place])
        number = min(self.live.display.class_number, max(1, len(shown)))
        if shown:
            self.buttons[number - 1].setChecked(True)
        session = self.live.session
        self.commands.show_classes(shown, number, possible=session.live and session.shown_epoch is None)
        self.setVisible(len(shown) > 1)
        self._arrange()
        lay_out()
        if len(shown) > 1 and not self._appeared:
            self._appeared = True
            self._soon.timeout.connect(self._appear)
            self._soon.start()

    def _add_button(self) -> None:
        one = ClassButton(len(self.buttons) + 1)
        one.selecting.connect(self._select)
        self.buttons.append(one)
        self.group.addButton(one, len(self.buttons))

    def _select(self, number: int) -> None:
        """Select the particles of a class, in all panels."""
        shown = self.shown[number - 1]
        half = f" of half {shown.half}" if shown.half else ""
        self.live.session.selection.select(shown.rows, f"class {number}{half}")

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._soon.start()

    def _appear(self) -> None:
        """Tell that the row is shown, once its buttons are, without which it has no height yet."""
        self._soon.timeout.disconnect(self._appear)
        lay_out()
        self.appeared.emit()

    def _arrange(self) -> None:
        """Lay the buttons out in as many rows as the width needs."""
        used = self.buttons[: len(self.shown)]
        widest = max((one.sizeHint().width() for one in used), default=1)
        room = self.width() - (0 if self.commands.isHidden() else self.commands.sizeHint().width() + SPACING)
        columns = max(1, min(len(used), (room + SPACING) // (widest + SPACING)))
        for place, one in enumerate(used):
            if self.grid.indexOf(one) < 0 or columns != self._columns:
                self.grid.addWidget(one, *divmod(place, columns))
        self._columns = columns
