"""Flags that tyro makes from settings classes. The classes themselves check the values, all of them at once."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any

from pydantic.dataclasses import is_pydantic_dataclass
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from napari_cryospin.cli.console import RefusedFlagsError
from napari_cryospin.settings import Settings, SettingsField, fields_of

METAVARS = {int: "INT", float: "FLOAT", str: "STR", Path: "PATH"}
"""Type of a flag's value -> its name in the help."""

registry = ConstructorRegistry()
"""Rules by which tyro makes flags; `settings_flags` is one of them."""


@registry.struct_rule
def settings_flags(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Return the flags of a settings class; None for other classes, whose flags tyro makes by its own rules."""
    if not is_pydantic_dataclass(info.type):
        return None
    default = info.default if isinstance(info.default, info.type) else info.type()
    fields = []
    for name, field in fields_of(info.type).items():
        value, unit = getattr(default, name), f" Unit: {field.unit}." if field.unit else ""
        fields.append(StructFieldSpec(name, _flag_type(field), value, field.help + unit))
    within = any(field.group is info.type for field in fields_of(Settings).values())
    make = dict if within else functools.partial(checked, info.type)
    return StructConstructorSpec(instantiate=make, fields=tuple(fields))


def checked(group: type, **values: Any) -> Any:
    """Make settings from the values of flags; the values of each group of settings are in a dict of their own.

    Raises
    ------
    RefusedFlagsError
        Values are wrong, or do not go together; the message names all of them.
    """
    try:
        return group(**values)
    except ValueError as error:
        raise RefusedFlagsError(str(error)) from error


def _flag_type(field: SettingsField) -> Any:
    if field.group is not None:
        return field.group
    if bool in field.kinds:
        return bool  # Tyro makes two flags without a value.
    metavars = ["{None}"] * field.optional + ["{" + ",".join(field.choices) + "}"] * bool(field.choices)
    return Annotated[
        object,
        PrimitiveConstructorSpec(
            nargs="*" if field.several else 1,
            metavar="|".join([*metavars, *("PATH" if field.is_path else METAVARS[kind] for kind in field.kinds)]),
            instance_from_str=lambda texts: read_value(field, texts[0]) if len(texts) == 1 else tuple(texts),
            is_instance=lambda instance: True,
            str_from_instance=lambda instance: [*map(str, instance if isinstance(instance, tuple) else [instance])],
        ),
    ]


def read_value(field: SettingsField, text: str) -> Any:
    """Return the text of a flag as a value of one of the field's types, or the text itself if it fits none.

    A text is either one of the choices, or wrong; the settings class decides.
    """
    if field.optional and text == "None":
        return None
    for kind in (int, float):
        if kind in field.kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return text
