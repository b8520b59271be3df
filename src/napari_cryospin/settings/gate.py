"""The gate of all settings: pydantic checks every value on every way in, and one `ValueError` names what is wrong."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast, dataclass_transform

import pydantic
import pydantic.dataclasses

from napari_cryospin.settings.fields import fields_of

Class = TypeVar("Class", bound=type)

CONFIG = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

SHOWN_LENGTH = 60
"""Characters of a wrong value that an error message shows at most."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
def settings_class(cls: Class) -> Class:
    """Make a frozen dataclass whose values are checked whenever one is made.

    The types of its fields must be strict ones (`StrictInt`, not `int`): else pydantic takes "7" for a number.

    Raises
    ------
    ValueError
        By the constructor and `dataclasses.replace`: names every wrong field, what was found and what is expected.
    """
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=CONFIG)(cls)
    initialise = made.__init__

    @functools.wraps(initialise)
    def __init__(self: Any, **values: Any) -> None:
        try:
            initialise(self, **{name: _plain(value) for name, value in values.items()})
        except pydantic.ValidationError as error:
            raise ValueError(wording(error, made)) from None

    made.__init__ = __init__
    return cast(Class, made)


def _plain(value: Any) -> Any:
    """Return the number that a NumPy scalar stands for; anything else as it is."""
    is_scalar = type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0
    return value.item() if is_scalar else value


def from_json(cls: type[Any], text: str) -> Any:
    """Read an object of a settings class from JSON.

    Raises
    ------
    ValueError
        The text is no JSON, or a field is unknown or wrong; names all of them.
    """
    try:
        return pydantic.TypeAdapter(cls).validate_json(text)
    except pydantic.ValidationError as error:
        raise ValueError(wording(error, cls)) from None


def wording(error: pydantic.ValidationError, cls: type) -> str:
    """Name every wrong field of a settings class with what was found and what is expected, one a line."""
    lines = (line for one in error.errors(include_url=False) for line in _lines(one, cls))
    return "settings: " + "\n  ".join(dict.fromkeys(lines))  # a union complains once for each of its types


def _lines(error: Any, cls: type) -> list[str]:
    kind, found = error["type"], error["input"]
    if kind == "json_invalid":
        return [f"found no JSON ({error['ctx']['error']}); expected a JSON object"]
    if kind == "value_error":  # a rule between fields, in words of its own
        return str(error["ctx"]["error"]).splitlines()
    if not error["loc"]:
        return [f"found {_shown(found)}; expected an object with {', '.join(fields_of(cls))}"]
    names, holder = _place(error["loc"], cls)
    path, name, admitted = ".".join(names), names[-1], fields_of(holder)
    if name not in admitted:
        return [f"{path} is no setting; expected one of {', '.join(admitted)}{nearest(name, admitted)}"]
    field = admitted[name]
    return [f"{path} is {_shown(found)}; expected {field.expected}{nearest(found, field.choices)}"]


def _place(location: Sequence[Any], cls: type) -> tuple[list[str], type]:
    """Names from the outermost group to the field, and the class that holds the field."""
    own = cls.__name__.removesuffix("Settings").lower()
    names, holder = [own] if own else [], cls
    for name in map(str, location):
        names.append(name)
        field = fields_of(holder).get(name)
        if field is None or field.group is None or name == location[-1]:
            break  # what follows says which type of a union complained
        holder = field.group
    return names, holder


def nearest(found: Any, admitted: Iterable[str]) -> str:
    """Propose the nearest of the admitted words in parentheses; empty where none is near."""
    near = difflib.get_close_matches(found, list(admitted), n=1) if isinstance(found, str) else []
    return f" (did you mean {near[0]}?)" if near else ""


def _shown(found: Any) -> str:
    limits = reprlib.Repr()
    limits.maxstring = limits.maxother = limits.maxlong = SHOWN_LENGTH
    return limits.repr(found)
