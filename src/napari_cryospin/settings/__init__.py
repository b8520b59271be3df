"""The settings of a run, in groups. Flags, forms, settings.json and docs/settings.md are made from these classes.

A preset is a full set of settings (`PRESETS`). What the user sets in addition replaces values of the preset
(`dataclasses.replace`).
"""

from napari_cryospin.settings.fields import SettingsField, Unit, fields_of
from napari_cryospin.settings.gate import settings_class
from napari_cryospin.settings.groups import (
    SHELLS_FOR,
    EncoderSettings,
    MachineSettings,
    PosteriorSettings,
    PreparationSettings,
    ScheduleSettings,
    Settings,
    StartSettings,
    VolumeSettings,
)
from napari_cryospin.settings.overrides import settings_from, without_shells
from napari_cryospin.settings.presets import DEFAULT_PRESET, PRESETS

__all__ = [
    "DEFAULT_PRESET",
    "PRESETS",
    "SHELLS_FOR",
    "EncoderSettings",
    "MachineSettings",
    "PosteriorSettings",
    "PreparationSettings",
    "ScheduleSettings",
    "Settings",
    "SettingsField",
    "StartSettings",
    "Unit",
    "VolumeSettings",
    "fields_of",
    "settings_class",
    "settings_from",
    "without_shells",
]
