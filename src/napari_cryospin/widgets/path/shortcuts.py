"""Commands of the workspace, the menu that lists them, and their keys while the focus is in one of its docks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QMenu,
    QShortcut,
    QTabBar,
    QToolButton,
    QWidget,
)

USE_ARROWS = (QAbstractSlider, QAbstractSpinBox, QComboBox, QTabBar, QAbstractItemView)
USE_SPACE = (QAbstractButton, QComboBox, QAbstractItemView)
"""Widgets that have a use of their own for these keys while they have the focus."""


@dataclass(frozen=True)
class KeyCommand:
    """A command, which may have a key.

    Attributes
    ----------
    name : str
        Name by which napari's command palette asks for it.
    title : str
        Words in the menu.
    act : callable
        What it does.
    key : str
        Key, as Qt and napari name it; empty: none.
    leave_to : tuple of type
        Widgets to which the key is left while they have the focus.
    shared : str
        For what napari has a use of its own for the key: the active layer, or sliders; empty: it has none.
    """

    name: str
    title: str
    act: Callable[[], None]
    key: str = ""
    leave_to: tuple[type[QWidget], ...] = ()
    shared: Literal["", "layer", "sliders"] = ""


class Shortcuts(QObject):
    """Commands, and their keys in several docks.

    Parameters
    ----------
    commands
        Commands with their keys.
    parent
        Widget that lives as long as this object.
    """

    def __init__(self, commands: Sequence[KeyCommand], parent: QWidget) -> None:
        super().__init__(parent)
        self.commands = tuple(commands)
        self.made: list[tuple[KeyCommand, QShortcut]] = []
        cast("QApplication", QApplication.instance()).focusChanged.connect(self._follow)

    def serve(self, widget: QWidget) -> None:
        """Let the keys act while the focus is within a widget."""
        for command in (one for one in self.commands if one.key):
            shortcut = QShortcut(QKeySequence(command.key), widget)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(command.act)
            shortcut.destroyed.connect(self._forget)
            self.made.append((command, shortcut))

    def act(self, name: str) -> None:
        """Do what a command does."""
        next(command for command in self.commands if command.name == name).act()

    def menu_button(self) -> QToolButton:
        """Make a button with the menu that lists the commands and their keys."""
        made = QToolButton()
        made.setText("☰")
        made.setToolTip("Commands and their keys")
        made.setAutoRaise(True)
        made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        made.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        menu = QMenu(made)
        for command in self.commands:
            key = QKeySequence(command.key).toString(QKeySequence.SequenceFormat.NativeText)
            action = menu.addAction(f"{command.title}\t{key}" if key else command.title)
            assert action is not None
            action.triggered.connect(lambda _=False, act=command.act: act())
        made.setMenu(menu)
        self.menu = menu
        return made

    def add_menu(self, menu: QMenu) -> None:
        """Add a menu of its own beneath the commands."""
        self.menu.addSeparator()
        self.menu.addMenu(menu)

    def _follow(self, _: QWidget | None, now: QWidget | None) -> None:
        for command, shortcut in self.made:
            shortcut.setEnabled(not isinstance(now, command.leave_to))

    def _forget(self, shortcut: QObject | None) -> None:
        self.made = [(command, one) for command, one in self.made if one is not shortcut]
