"""Do random things to the window, as a user's mouse and keyboard would, and report whatever goes wrong.

    xvfb-run -a -s '-screen 0 1920x1200x24' .venv/bin/python scripts/monkey.py --seed 1 --actions 500

Half of the actions go to a small run that goes on in the window, half to one that is over. Clicks, drags, keys, wheel,
other sizes, panels and themes are drawn at random; dialogs and menus that open are answered at random, file dialogs
are closed. The end is an error if there was an exception, in whatever thread, or a message of Qt; a window that
answers no event for two minutes is ended with the stacks of its threads. The same seed draws the same numbers, though
what they hit depends on how far the run is.
`--without KIND` leaves a kind of action out, to look for other faults.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import logging
import random
import sys
import tempfile
import threading
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import napari
from napari.utils.notifications import ErrorNotification, notification_manager
from qtpy import QtTest
from qtpy.QtCore import QEvent, QPoint, QPointF, QSettings, Qt, QTimer, qInstallMessageHandler
from qtpy.QtGui import QDesktopServices, QMouseEvent, QWheelEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QMenu,
    QMessageBox,
    QPushButton,
    QTabBar,
    QWidget,
)  # fmt: skip

from napari_cryospin.driving.run import drive_run
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS, Settings
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
from napari_cryospin.widgets.bottom_row import BottomRow
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import Workspace, open_workspace

QTest: Any = QtTest.QTest  # PyQt declares its functions as methods.
log = logging.getLogger("monkey")

HUNG = 120  # s without an answer after which the window counts as hung
ANSWER_EVERY = 150  # ms between two looks for a dialog or a menu that waits for an answer
BREATH = 30  # ms for which the window lives between two actions
LONG_RUN = 500  # epochs of the run that goes on: more than the actions take
KEYS = (
    "Space", "Left", "Right", "Up", "Down", "S", "F1", "Tab", "Backtab", "Return", "Escape", "7", "A", "PageUp",
    "PageDown", "Home", "End", "Delete", "Backspace",
)  # fmt: skip
SIZES = ((1600, 1000), (1366, 768), (1100, 700), (1920, 1200))
CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QAbstractSlider, QLineEdit, QTabBar)
DRAWN = ("napari_cryospin.widgets.sphere", "napari_cryospin.widgets.kit", "napari_cryospin.widgets.posterior", "vispy")
"""What is hit most: controls, and what these modules draw."""
KINDS = {"click": 46, "key": 18, "wheel": 14, "drag": 8, "panel": 8, "resize": 3, "theme": 1, "dimensions": 2}
"""Kind of action -> its weight; chosen by hand, mostly what users do most."""


class Faults:
    """Collects exceptions of all threads, messages of Qt, and exceptions that napari showed as notifications."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.doing = ""
        sys.excepthook = lambda kind, error, trace: self._exception(error)
        threading.excepthook = lambda args: self._exception(args.exc_value)
        qInstallMessageHandler(lambda kind, context, text: self.note(f"Qt: {text}"))
        notification_manager.notification_ready.connect(self._notified)

    def note(self, text: str) -> None:
        self.found.append(f"{self.doing}\n{text}")
        log.error("%s", self.found[-1])

    def _exception(self, error: BaseException | None) -> None:
        self.note("".join(traceback.format_exception(error)))

    def _notified(self, notification: Any) -> None:
        if isinstance(notification, ErrorNotification):
            self._exception(notification.exception)


class Monkey:
    """Draws actions and does them.

    Parameters
    ----------
    viewer
        Viewer with an open workspace.
    seed
        Of the random numbers.
    faults
        Told what is being done.
    without
        Kind of action that is left out.
    """

    def __init__(self, viewer: napari.Viewer, seed: int, faults: Faults, without: str = "") -> None:
        self.viewer, self.random, self.faults = viewer, random.Random(seed), faults
        self.kinds = {kind: weight for kind, weight in KINDS.items() if kind != without}
        self.window: Any = open_workspace(viewer).window()
        self.done: Counter[str] = Counter()
        self.answering = True
        self.answer()

    def act(self) -> None:
        """Do one thing, and let the window live for a moment."""
        faulthandler.dump_traceback_later(HUNG, exit=True)
        (kind,) = self.random.choices([*self.kinds], [*self.kinds.values()])
        getattr(self, f"_{kind}")()
        self.done[kind] += 1
        QTest.qWait(BREATH)
        faulthandler.cancel_dump_traceback_later()

    def answer(self) -> None:
        """Answer a menu or a dialog that waits, and look again soon, also while the answer has brought another one."""
        if self.answering:  # Each time a timer of its own: one that runs is quiet until its slot has returned.
            QTimer.singleShot(ANSWER_EVERY, self.answer)
        popup, dialog = QApplication.activePopupWidget(), QApplication.activeModalWidget()
        if isinstance(popup, QMenu):
            for _ in range(self.random.randrange(6)):
                QTest.keyClick(popup, Qt.Key.Key_Down)
            QTest.keyClick(popup, self.random.choice([Qt.Key.Key_Return, Qt.Key.Key_Escape]))
            popup.close()
        elif popup is not None:
            popup.close()
        elif isinstance(dialog, QMessageBox):
            self._saying(f"answer {dialog.windowTitle()}", dialog)
            self.random.choice(dialog.findChildren(QPushButton)).click()
        elif isinstance(dialog, QDialog):
            dialog.reject()
        for box in QApplication.topLevelWidgets():  # explanations and logs, which wait for nobody
            if isinstance(box, QDialog) and not box.isModal() and box.isVisible():
                box.close()

    # Kinds of actions

    def _click(self) -> None:
        widget, place = self._somewhere()
        self._saying("click", widget)
        button = Qt.MouseButton.LeftButton if self.random.random() < 0.93 else Qt.MouseButton.RightButton
        (QTest.mouseDClick if self.random.random() < 0.06 else QTest.mouseClick)(widget, button, pos=place)

    def _key(self) -> None:
        focused = QApplication.focusWidget()
        widget = focused if focused is not None and focused.isVisible() else self.window
        key = self.random.choice(KEYS)
        self._saying(f"key {key}", widget)
        QTest.keyClick(widget, getattr(Qt.Key, f"Key_{key}"))

    def _wheel(self) -> None:
        widget, place = self._somewhere()
        self._saying("wheel", widget)
        control = Qt.KeyboardModifier.ControlModifier if self.random.random() < 0.2 else Qt.KeyboardModifier.NoModifier
        where, turned = QPointF(place), QPoint(0, self.random.choice((-120, 120)))
        globally = QPointF(widget.mapToGlobal(place))
        none = Qt.MouseButton.NoButton
        event = QWheelEvent(where, globally, QPoint(), turned, none, control, Qt.ScrollPhase.NoScrollPhase, False)
        QApplication.sendEvent(widget, event)

    def _drag(self) -> None:
        widget, place = self._somewhere()
        self._saying("drag", widget)
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        for kind in (
            QEvent.Type.MouseButtonPress,
            *[QEvent.Type.MouseMove] * 4,
            QEvent.Type.MouseButtonRelease,
        ):
            button = none if kind == QEvent.Type.MouseMove else left
            held = none if kind == QEvent.Type.MouseButtonRelease else left
            where, globally = QPointF(place), QPointF(widget.mapToGlobal(place))
            event = QMouseEvent(kind, where, globally, button, held, Qt.KeyboardModifier.NoModifier)
            QApplication.sendEvent(widget, event)
            place += QPoint(self.random.randint(-60, 60), self.random.randint(-40, 40))

    def _panel(self) -> None:
        column, row = self.window.findChild(Workspace), self.window.findChild(BottomRow)
        tabs = self.random.choice([one for one in (column, row and row.tabs) if one is not None])
        index = self.random.randrange(tabs.count())
        self._saying(f"panel {tabs.tabText(index)}", tabs)
        QTest.mouseClick(tabs.tabBar(), Qt.MouseButton.LeftButton, pos=tabs.tabBar().tabRect(index).center())

    def _resize(self) -> None:
        size = self.random.choice(SIZES)
        self._saying(f"size {size}", self.window)
        self.viewer.window.resize(*size)

    def _theme(self) -> None:
        self._saying("theme", self.window)
        self.viewer.theme = "light" if self.viewer.theme == "dark" else "dark"

    def _dimensions(self) -> None:
        self._saying("2D or 3D", self.window)
        self.viewer.dims.ndisplay = 5 - self.viewer.dims.ndisplay

    # Where

    def _somewhere(self) -> tuple[QWidget, QPoint]:
        """Draw a visible widget of the workspace or the canvas, and a place in it."""
        ours = [dock for dock in self.viewer.window.dock_widgets.values() if isinstance(dock, QWidget)]
        known = [widget for dock in ours for widget in dock.findChildren(QWidget)]
        canvas = self.window.centralWidget().findChildren(QWidget)
        seen = [one for one in (*known, *canvas) if one.isEnabled() and not one.visibleRegion().isEmpty()]
        useful = [one for one in seen if isinstance(one, CONTROLS) or type(one).__module__.startswith(DRAWN)]
        widget = self.random.choice(useful if self.random.random() < 0.85 else seen)
        area = widget.visibleRegion().boundingRect()
        x = self.random.randint(area.left(), area.right())
        return widget, QPoint(x, self.random.randint(area.top(), area.bottom()))

    def _saying(self, what: str, widget: QWidget) -> None:
        text = getattr(widget, "text", str)
        words = text() if callable(text) else ""
        self.faults.doing = f"{sum(self.done.values())}: {what}: {type(widget).__name__} {words!r:.40}"
        log.debug("%s", self.faults.doing)


def small_settings(epochs: int, switch: Any) -> Settings:
    """Return settings of a run of little work."""
    quick = PRESETS["quick"]
    return dataclasses.replace(
        quick,
        encoder=dataclasses.replace(quick.encoder, heads=3, encoder_box=16, encoder_batch=20, shifts=False),
        volume=dataclasses.replace(quick.volume, first_band=3, encoding_band=5, growth_steps=2),
        schedule=dataclasses.replace(quick.schedule, epochs=epochs, decoding_epochs=2, switch=switch, batch_size=20),
        posterior=dataclasses.replace(quick.posterior, search_at_switch=False, mates=False),
        machine=dataclasses.replace(quick.machine, device="cpu", snapshot_every=0.5),
    )


def play(work: Path, seed: int, actions: int, without: str = "") -> int:
    """Make two runs, let the monkey act on each, and return the number of faults."""
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(work / "choices"))
    QDesktopServices.openUrl = lambda *_: True  # type: ignore[method-assign]  # No other program is started.
    files = write_simulation(SAMPLE_MAPS["spliceosome"], work / "few", SimulationSettings(count=120, box=32, snr=1.0))
    source = RunInput(particles=files.particles)
    over = RunFolder.create(work / "over", source, small_settings(3, 2))
    drive_run(over)
    viewer = napari.Viewer()
    faults = Faults()
    monkey, session = Monkey(viewer, seed, faults, without), session_of(viewer)
    session.set_settings(small_settings(4, "by-hand"))
    session.set_particles(open_particles(files.particles), source, files.truth)
    session.start(RunFolder.create(work / "live", source, small_settings(LONG_RUN, "by-hand")))
    for number in range(actions):
        if number == actions // 2:
            open_workspace(viewer).watch(over.path)
        monkey.act()
    monkey.answering = False
    log.info("seed %d: %s", seed, dict(monkey.done))
    session.close()
    if session.process is not None:
        session.process.terminate()
    viewer.close()
    qInstallMessageHandler(None)
    log.info("%d faults", len(faults.found))
    return len(faults.found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--actions", type=int, default=500, help="number of actions, over both runs")
    parser.add_argument("--without", default="", choices=("", *KINDS), help="kind of action that is left out")
    parser.add_argument("--verbose", action="store_true", help="log every action")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    faulthandler.enable()
    log.setLevel(logging.DEBUG if options.verbose else logging.INFO)
    with tempfile.TemporaryDirectory() as work:
        return bool(play(Path(work), options.seed, options.actions, options.without))


if __name__ == "__main__":
    raise SystemExit(main())
