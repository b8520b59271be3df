"""Flags from settings classes: as tyro makes them, with each field's unit behind its help."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import typing
from typing import Any

from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from napari_cryospin.settings import Unit

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


def field_units(settings: Any) -> dict[str, str]:
    """Field -> unit, of those that have one."""
    hints = typing.get_type_hints(settings, include_extras=True)
    marks = ((name, mark) for name, hint in hints.items() for mark in getattr(hint, "__metadata__", ()))
    return {name: mark.name for name, mark in marks if isinstance(mark, Unit)}


def field_docstrings(settings: Any) -> dict[str, str]:
    """Field -> the text beneath it in the source."""
    (source,) = ast.parse(textwrap.dedent(inspect.getsource(settings))).body
    assert isinstance(source, ast.ClassDef)
    found = {}
    for field, text in itertools.pairwise(source.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(ast.literal_eval(text.value).split())
    return found
