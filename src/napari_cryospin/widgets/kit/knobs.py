"""A settings field as a magicgui widget, with help, unit and range in its tooltip, and an entry "default"."""

from __future__ import annotations

import dataclasses
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, FloatSpinBox, LineEdit
from magicgui.widgets.bases import ValueWidget

from napari_cryospin.settings import SettingsField
from napari_cryospin.widgets.kit.file_field import FilesField
from napari_cryospin.widgets.kit.typed_numbers import tell_ranges
from napari_cryospin.widgets.kit.wheel import guard_wheel

DEFAULT_TEXT = "default"
NO_FILE_TEXT = "none: begin from nothing"
"""What a field of files says while it is empty; the only one is that of the maps to start from."""
SEVERAL_FILES = 'Several files are written in quotation marks: "one.mrc" "two.mrc".'
MAP_FILES = "Maps (*.mrc *.map *.ccp4 *.rec);;All files (*)"


def label_of(field: SettingsField) -> str:
    """Write a field's name and unit as they stand beside its widget."""
    text = field.name.replace("_", " ")
    return f"{text} ({_unit(field)})" if field.unit else text


def tip_of(field: SettingsField) -> str:
    """Write a field's help, with range and unit behind it."""
    limits = dataclasses.replace(field, unit=_unit(field)).limits
    return f"{field.help} {limits}." if limits else field.help


def _unit(field: SettingsField) -> str:
    return {"A": "Å"}.get(field.unit, field.unit)


class Knob(Container):
    """Widget of a settings field; `value` is the field's value, None where the field is left at its default.

    Parameters
    ----------
    field
        Field that it edits.
    """

    def __init__(self, field: SettingsField) -> None:
        self.field = field
        tip = tip_of(field)
        self.choice: ComboBox | None = None
        self.number: ValueWidget | FilesField | None = None
        widgets: list[Any] = []
        if field.choices:
            both = [*field.choices, AFTER_EPOCHS] if int in field.kinds else list(field.choices)
            self.choice = ComboBox(choices=[(one.replace("-", " "), one) for one in both], tooltip=tip)
            widgets.append(self.choice)
        if field.kinds:
            self.number = _editor(field)
            widgets.append(self.number)
        super().__init__(widgets=widgets, layout="horizontal", labels=False, label=label_of(field), name=field.name)
        self.margins = (0, 0, 0, 0)
        self.tooltip = tip
        for widget in widgets:
            widget.tooltip = tip
            guard_wheel(widget.native)
            tell_ranges(widget.native)
        if self.choice is not None and self.number is not None:
            self.choice.changed.connect(self._show_number)
            self._show_number()

    def _show_number(self) -> None:
        assert self.choice is not None
        assert self.number is not None
        self.number.visible = self.choice.value == AFTER_EPOCHS

    @property
    def value(self) -> Any:
        if self.choice is not None and self.choice.value != AFTER_EPOCHS:
            return self.choice.value
        number = self.number
        if isinstance(number, FilesField):
            paths = tuple(map(str, number.get_value() or ()))
            return paths if len(paths) > 1 else next(iter(paths), None)
        if not isinstance(number, FloatSpinBox):
            return None if number is None else number.value
        if self.field.optional and number.value <= number.min:
            return None
        return number.value if float in self.field.kinds else round(number.value)

    @value.setter
    def value(self, value: Any) -> None:
        if self.choice is not None:
            self.choice.value = value if value in self.field.choices else AFTER_EPOCHS
            if value in self.field.choices:
                return
        number = self.number
        assert number is not None
        if not isinstance(number, FloatSpinBox):
            number.value = value
            return
        # The widget has as many digits as the value, so that the value shown is the value used.
        digits = 0 if value is None else len(f"{value:.10f}".rstrip("0").partition(".")[2])
        number.native.setDecimals(max(number.native.decimals(), digits))
        number.value = number.min if value is None else value


AFTER_EPOCHS = "after-epochs"
"""Choice that stands for a number, beside the choices of the field itself."""


def _editor(field: SettingsField) -> ValueWidget | FilesField:
    if bool in field.kinds:
        return CheckBox(text="")
    if field.is_path:
        path = FilesField(MAP_FILES)
        path.line_edit.native.setPlaceholderText(NO_FILE_TEXT)
        for part in (path.line_edit, path.choose_btn):
            part.tooltip = f"{tip_of(field)}\n{SEVERAL_FILES}"
        return path
    if int not in field.kinds and float not in field.kinds:
        return LineEdit()
    assert field.range is not None, field.name
    low, high = field.range
    decimals = 0 if float not in field.kinds else 5 if high <= 1 else 2 if high <= 100 else 1
    step = 10.0**-decimals if high <= 1 else 1.0
    # One step below the range stands for the default. Integers are edited in the same widget, because the SpinBox of
    # magicgui has no special text.
    number = FloatSpinBox(min=low - step if field.optional else low, max=high, step=step)
    number.native.setDecimals(decimals)
    if field.optional:
        number.native.setSpecialValueText(DEFAULT_TEXT)
    number.native.setKeyboardTracking(False)  # A number that is being typed is not applied digit by digit.
    return number
