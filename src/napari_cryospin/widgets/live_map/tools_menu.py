"""Menu of what else can be done with the live map: dust, colours, comparisons, a movie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction, QActionGroup
from qtpy.QtWidgets import QFileDialog, QMenu, QToolButton

from napari_cryospin.io.atomic_model import MODEL_SUFFIXES
from napari_cryospin.widgets.live_map.comparisons import comparisons_beside
from napari_cryospin.widgets.live_map.ghost_maps import ghosts_beside
from napari_cryospin.widgets.live_map.movie import MovieMaker

if TYPE_CHECKING:
    from napari_cryospin.widgets.live_map.layers import LiveMap

COLOURINGS = {
    "plain": ("One colour", "The surface in one colour"),
    "halves": (
        "Where half maps differ",
        "Blue where the two half maps agree, orange where they differ as much as they show",
    ),
    "epochs": (
        "Where the last epochs differ",
        "Blue where the maps of the last five epochs agree, orange where they differ as much as they show",
    ),
}
KNOWN_MAPS = f"Maps and models (*.mrc *.map {' '.join(f'*{suffix}' for suffix in MODEL_SUFFIXES)})"


class MapToolsButton(QToolButton):
    """Button with the menu.

    Parameters
    ----------
    live
        Live map.
    """

    told = Signal(str)  # what was found or done

    def __init__(self, live: LiveMap) -> None:
        super().__init__()
        self.live, self.ghosts = live, ghosts_beside(live)
        self.comparisons, self.movie = comparisons_beside(live), MovieMaker(live)
        for source in (self.comparisons, self.movie):
            source.told.connect(self.told)
        self.setText("☰")
        self.setToolTip("Tools: hide dust, colour by uncertainty, compare with other maps, save a movie")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.setMenu(menu)
        self.dust = self._action("Hide dust", "Leave small separate pieces of the surface out", self._hide_dust, True)
        self._add_colours(menu.addMenu("Colour the surface"))
        menu.addSeparator()
        self._action(
            "Fit a known map or model…", "Turn it, in either hand, until it agrees, and tell how well", self.ask_map
        )
        self._action(
            "Compare with another run…", "Fit the map of another run, and tell how well the two agree", self.ask_run
        )
        self.classes = menu.addMenu("Compare with class")
        self.apart = self._action(
            "Side by side", "Each map in its part of the canvas, under one camera", self._set_apart, True
        )
        self._action("Remove the other maps", "Show the live map alone", self.ghosts.remove_all)
        menu.addSeparator()
        self.save = self._action(
            "Save a movie…",
            "All epochs as MP4 or GIF, with view directions and resolution beside the map",
            self.ask_movie,
        )
        menu.aboutToShow.connect(self.fill)

    def _action(self, text: str, tip: str, do: Callable[..., None], checkable: bool = False) -> QAction:
        menu = self.menu()
        assert menu is not None
        action = QAction(text, menu)
        action.setToolTip(tip)
        action.setCheckable(checkable)
        action.triggered.connect(do if checkable else lambda _=False: do())
        menu.addAction(action)
        return action

    def _add_colours(self, menu: QMenu | None) -> None:
        assert menu is not None
        menu.setToolTipsVisible(True)
        self.colours: dict[str, QAction] = {}
        group = QActionGroup(menu)
        for key, (text, tip) in COLOURINGS.items():
            action = QAction(text, group)
            action.setToolTip(tip)
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, key=key: self._colour(key))
            menu.addAction(action)
            self.colours[key] = action

    def fill(self) -> None:
        """Show the present choices, before the menu is seen."""
        display, picture = self.live.display, self.live.picture
        self.dust.setChecked(display.hide_dust)
        self.colours[display.coloured_by].setChecked(True)
        self.colours["halves"].setEnabled(picture is not None and picture.halves > 0)
        self.apart.setChecked(self.ghosts.side_by_side)
        self.apart.setEnabled(bool(self.ghosts.layers))
        self.save.setText("Stop the movie" if self.movie.running else "Save a movie…")
        count = 1 if picture is None else picture.classes
        assert self.classes is not None
        self.classes.clear()
        self.classes.setEnabled(count > 1)
        for number in range(1, count + 1):
            action = self.classes.addAction(f"Class {number}")
            assert action is not None
            action.triggered.connect(lambda _=False, number=number: self.comparisons.compare_class(number))

    def _colour(self, key: str) -> None:
        """Colour the surface, and tell what the colours mean."""
        self.live.set_display(coloured_by=key)
        self.told.emit("" if key == "plain" else COLOURINGS[key][1])

    def _hide_dust(self, hidden: bool) -> None:
        self.live.set_display(hide_dust=hidden)

    def _set_apart(self, apart: bool) -> None:
        self.ghosts.set_side_by_side(apart)

    def ask_map(self) -> None:
        """Let the user choose a known map or model."""
        chosen, _ = QFileDialog.getOpenFileName(self, "Known map or model", "", KNOWN_MAPS)
        if chosen:
            self.comparisons.fit_file(Path(chosen))

    def ask_run(self) -> None:
        """Let the user choose the folder of another run."""
        chosen = QFileDialog.getExistingDirectory(self, "Folder of another run")
        if chosen:
            self.comparisons.compare_run(Path(chosen))

    def ask_movie(self) -> None:
        """Let the user choose where the movie goes, or stop the one that is being made."""
        if self.movie.running:
            self.movie.stop()
            return
        chosen, _ = QFileDialog.getSaveFileName(self, "Save a movie", "run.gif", "Movies (*.gif *.mp4)")
        if chosen:
            self.movie.start(Path(chosen))
