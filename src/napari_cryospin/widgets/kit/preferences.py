"""Preferences of the user (a page in napari's Preferences, from napari 0.9 on), and the last choices in the panels."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSettings

from napari_cryospin.settings import DEFAULT_PRESET, Settings
from napari_cryospin.widgets.kit.settings_form import changes, window_preset, with_changes

log = logging.getLogger(__name__)

PLUGIN_NAME = "napari-cryospin"


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """Values of the page in napari's Preferences."""

    device: str = "auto"
    """Device of new runs."""
    run_folder: Path = Path.home() / "cryospin-runs"
    """Folder in which the folders of new runs are made."""
    orientation_as_chimerax: bool = True
    """Whether the camera is set so that maps show the same hand as in ChimeraX."""


def preferences() -> Preferences:
    """Read the preferences; before napari 0.9, which has no page for plugins, these are the defaults."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return Preferences()
    try:
        page: Any = get_plugin_settings(PLUGIN_NAME).window
    except (KeyError, AttributeError):  # The manifest of the plugin is not indexed.
        return Preferences()
    folder = Path(page.run_folder).expanduser() if page.run_folder else Preferences.run_folder
    return Preferences(
        device=page.device or "auto", run_folder=folder, orientation_as_chimerax=page.orientation_as_chimerax
    )


def _store() -> QSettings:
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, PLUGIN_NAME, "window")


def remember_choice(name: str, value: str) -> None:
    """Store a choice for the next session."""
    _store().setValue(name, value)


def recall_choice(name: str, default: str = "") -> str:
    """Read a stored choice."""
    return str(_store().value(name, default))


def forget_choices() -> None:
    """Forget all that was stored."""
    _store().clear()


def remember_settings(settings: Settings) -> None:
    """Store the preset and what was changed in it, except what belongs to one set of particles."""
    own = ("preparation.", "start.", "volume.symmetry")  # of these particles; others have another molecule
    kept = {name: value for name, value in changes(settings).items() if not name.startswith(own)}
    remember_choice("settings", json.dumps({"preset": settings.preset, "changes": kept}))


def recall_settings() -> Settings:
    """Read the stored settings; those of a preset where there are none that this version can read."""
    text = recall_choice("settings")
    if text:
        try:
            kept = json.loads(text)
            return with_changes(kept["preset"], kept["changes"])
        except (ValueError, KeyError, TypeError) as error:
            log.warning("the settings of the last time are left out: %s", error)
    settings = window_preset(DEFAULT_PRESET)
    device = preferences().device
    return with_changes(settings.preset, {} if device == "auto" else {"machine.device": device})
