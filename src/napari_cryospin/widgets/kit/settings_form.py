"""Forms of settings groups, and the settings that the window starts from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_cryospin.settings import PRESETS, Settings, fields_of
from napari_cryospin.widgets.kit.knobs import Knob, label_of

Group = TypeVar("Group")


class GroupForm(QWidget):
    """Form with some or all fields of a settings group, one a row.

    Parameters
    ----------
    group
        Class of the settings group.
    names
        Fields to show. Default: all.
    leave_out
        Fields not to show.
    """

    changed = Signal()  # The user changed a value.

    def __init__(self, group: type, names: Iterable[str] | None = None, leave_out: Iterable[str] = ()) -> None:
        super().__init__()
        fields = fields_of(group)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.knobs = {name: Knob(fields[name]) for name in names or fields if name not in set(leave_out)}
        self._showing = False
        for knob in self.knobs.values():
            label = QLabel(label_of(knob.field))
            label.setToolTip(knob.tooltip or "")
            layout.addRow(label, knob.native)
            knob.changed.connect(self._emit_changed)

    def _emit_changed(self) -> None:
        if not self._showing:
            self.changed.emit()

    def show_values(self, values: Any) -> None:
        """Show the values of a settings group, without emitting `changed`."""
        self._showing = True
        for name, knob in self.knobs.items():
            new = getattr(values, name)
            if knob.value != new:
                knob.value = new
        self._showing = False

    def applied_to(self, values: Group) -> Group:
        """Return a settings group with the values of the form.

        Raises
        ------
        ValueError
            A value is not admitted.
        """
        new = {name: knob.value for name, knob in self.knobs.items()}
        return dataclasses.replace(values, **new)  # type: ignore[type-var]


def window_preset(name: str) -> Settings:
    """Return a preset as the window starts from it, in which the switch waits for the user."""
    preset = PRESETS[name]
    return dataclasses.replace(preset, schedule=dataclasses.replace(preset.schedule, switch="by-hand"))


def with_preset(settings: Settings, name: str) -> Settings:
    """Return the settings of a preset, but keep those that belong to the particles and to the machine."""
    preset, given = window_preset(name), settings.preparation
    own = ("box", "mask_radius", "subset", "invert_contrast", "cache")
    preparation = dataclasses.replace(preset.preparation, **{field: getattr(given, field) for field in own})
    volume = dataclasses.replace(preset.volume, symmetry=settings.volume.symmetry)
    return dataclasses.replace(
        preset, preparation=preparation, start=settings.start, volume=volume, machine=settings.machine
    )


def changes(settings: Settings) -> dict[str, Any]:
    """Return what differs from the preset: `group.field` (or `field`) -> value."""
    preset = window_preset(settings.preset)
    found = {}
    for field in dataclasses.fields(Settings):
        mine, its = getattr(settings, field.name), getattr(preset, field.name)
        if dataclasses.is_dataclass(mine):
            for part in dataclasses.fields(mine):
                if getattr(mine, part.name) != getattr(its, part.name):
                    found[f"{field.name}.{part.name}"] = getattr(mine, part.name)
        elif mine != its:
            found[field.name] = mine
    return found


def with_changes(preset: str, changed: dict[str, Any]) -> Settings:
    """Return the settings of a preset with the changes that `changes` returned.

    Raises
    ------
    KeyError, TypeError
        A preset or a group is unknown, because another version wrote it, say.
    ValueError
        A field is unknown, or a value is not admitted.
    """
    values: dict[str, Any] = dataclasses.asdict(window_preset(preset))
    for name, value in changed.items():
        group, _, field = name.rpartition(".")
        (values[group] if group else values)[field] = value
    return Settings(**values)
