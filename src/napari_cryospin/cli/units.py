"""Flags from settings classes: as tyro makes them, with each field's unit behind its help."""

from __future__ import annotations

import dataclasses
import typing

from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from napari_cryospin.settings import field_docstrings, field_units

registry = ConstructorRegistry()


@registry.struct_rule
def settings_with_units(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Fields of a dataclass that names units, if it is one."""
    if not dataclasses.is_dataclass(info.type) or not (units := field_units(info.type)):
        return None
    helps, hints = field_docstrings(info.type), typing.get_type_hints(info.type)
    given = dataclasses.is_dataclass(info.default)
    fields = []
    for field in dataclasses.fields(info.type):
        unit = f" Unit: {units[field.name]}." if field.name in units else ""
        default = getattr(info.default, field.name) if given else field.default
        fields.append(StructFieldSpec(field.name, hints[field.name], default, helps.get(field.name, "") + unit))
    return StructConstructorSpec(instantiate=info.type, fields=tuple(fields))
