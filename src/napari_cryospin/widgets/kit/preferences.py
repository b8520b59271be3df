"""What the user prefers (napari's Preferences, where napari has a page for plugins), and what was chosen last."""

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
    """The page in napari's Preferences."""

    device: str = "auto"
    """Device of new runs."""
    run_folder: Path = Path.home() / "cryospin-runs"
    """Folder in which new runs get theirs."""
    orientation_as_chimerax: bool = True
    """Whether the camera is set so that maps show the same hand as in ChimeraX."""


def preferences() -> Preferences:
    """What the user prefers; the defaults in a napari that has no page for plugins (before 0.9)."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return Preferences()
    try:
        page: Any = get_plugin_settings(PLUGIN_NAME).window
    except (KeyError, AttributeError):  # the plugin's manifest is not indexed
        return Preferences()
    folder = Path(page.run_folder).expanduser() if page.run_folder else Preferences.run_folder
    return Preferences(
        device=page.device or "auto", run_folder=folder, orientation_as_chimerax=page.orientation_as_chimerax
    )


def _store() -> QSettings:
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, PLUGIN_NAME, "window")


def remember_choice(name: str, value: str) -> None:
    """Keep a choice for the next time."""
    _store().setValue(name, value)


def recall_choice(name: str, default: str = "") -> str:
    """A choice that was kept."""
    return str(_store().value(name, default))


def remember_settings(settings: Settings) -> None:
    """Keep the preset and what was changed in it, but for what belongs to one set of particles."""
    kept = {name: value for name, value in changes(settings).items() if not name.startswith("preparation.")}
    remember_choice("settings", json.dumps({"preset": settings.preset, "changes": kept}))


def recall_settings() -> Settings:
    """The settings that were kept; a preset's where there are none, or none that this version understands."""
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
