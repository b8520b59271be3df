"""Settings of a preset, with what overrides it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from napari_cryospin.settings.fields import fields_of
from napari_cryospin.settings.gate import nearest
from napari_cryospin.settings.groups import SHELLS_FOR, Settings
from napari_cryospin.settings.presets import DEFAULT_PRESET, PRESETS


def settings_from(preset: str = DEFAULT_PRESET, **changes: Any) -> Settings:
    """Make settings from a preset and what overrides it.

    Parameters
    ----------
    preset : str
        One of `PRESETS`.
    **changes
        Fields by their own names, whatever their group: `heads=9, half_sets=True`; or a whole group as a mapping:
        `encoder={"heads": 9}`. A resolution replaces the preset's number of shells.

    Raises
    ------
    ValueError
        The preset or a field is unknown, or a value is wrong; names all of them.
    """
    if preset not in PRESETS:
        raise ValueError(
            f"settings: preset is {preset!r}; expected one of {', '.join(PRESETS)}{nearest(preset, PRESETS)}"
        )
    homes = _homes()
    unknown = [name for name in changes if name not in homes]
    if unknown:
        words = (f"{name} is no setting{nearest(name, homes)}" for name in unknown)
        raise ValueError("settings: " + "\n  ".join(words))
    start = without_shells(PRESETS[preset], _given(changes))
    values: dict[str, Any] = dataclasses.asdict(start)
    for name, value in changes.items():
        group = homes[name]
        if group is not None:
            values[group][name] = value
        elif isinstance(values[name], dict) and isinstance(value, Mapping):
            values[name] |= value
        else:
            values[name] = value
    return Settings(**values)


def _given(changes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the settings that are given a value, alone or in a mapping of their group."""
    for name, value in changes.items():
        if isinstance(value, Mapping):
            yield from _given(value)
        elif value is not None:
            yield name


def without_shells(settings: Settings, given: Iterable[str]) -> Settings:
    """Return settings without the numbers of shells that resolutions among the `given` names replace."""
    replaced: dict[str, Any] = {SHELLS_FOR[name]: None for name in given if name in SHELLS_FOR}
    return dataclasses.replace(settings, volume=dataclasses.replace(settings.volume, **replaced))


def _homes() -> dict[str, str | None]:
    """Return the group of each field; None for what stands in no group, the groups themselves included."""
    homes: dict[str, str | None] = {}
    for name, field in fields_of(Settings).items():
        homes[name] = None
        if field.group is not None:
            homes |= dict.fromkeys(fields_of(field.group), name)
    del homes["preset"]  # named apart: it is what the others override
    return homes
