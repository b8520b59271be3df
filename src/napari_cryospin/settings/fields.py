"""What is known of a settings field: the one source of forms, flags, error messages and the page of documentation."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import pydantic
from annotated_types import Interval, MultipleOf
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function


@dataclass(frozen=True)
class Unit:
    """Unit of a number, as shown behind the field."""

    name: str


@dataclass(frozen=True)
class FilePath:
    """Mark of a text that is the path of a file; forms let the user browse for it."""


@dataclass(frozen=True, eq=False)
class OneOf:
    """Words that a text admits: the keys of a table, which may grow. Its values tell their help."""

    table: Mapping[str, Described]

    def __get_pydantic_core_schema__(self, source: Any, handler: pydantic.GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._admitted, handler(source))

    def _admitted(self, word: str) -> str:
        if word not in self.table:
            raise PydanticCustomError("one_of", "not in the table")
        return word


@dataclass(frozen=True, eq=False)
class Spelling:
    """Text that has one form: a function makes it, and raises ValueError at what it does not know."""

    canonical: Callable[[str], str]
    expected: str
    """What it admits, in words."""

    def __get_pydantic_core_schema__(self, source: Any, handler: pydantic.GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._admitted, handler(source))

    def _admitted(self, text: str) -> str:
        try:
            return self.canonical(text)
        except ValueError:
            raise PydanticCustomError("spelling", "no such text") from None


class Described(Protocol):
    """An entry of a table of words."""

    @property
    def help(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class SettingsField:
    """A field of a settings class, read from its annotation and the text beneath it."""

    name: str
    kinds: tuple[type, ...]
    """Types that it admits, without None and without those of its words."""
    words: tuple[str, ...]
    """Words of its Literal; empty where it has none."""
    table: Mapping[str, Described]
    """Table of the further words that it admits; empty where it has none."""
    optional: bool
    """None is admitted; it mostly stands for a default that depends on the rest."""
    default: Any
    text: str
    """The text beneath the field; of a group, its docstring."""
    unit: str
    range: tuple[float, float] | None
    """Smallest and largest number admitted."""
    even: bool
    spelling: str
    """What the text is, in words; empty where any text is admitted."""
    is_path: bool
    """Its text is the path of a file."""
    several: bool
    """It may be several texts as well, as a tuple."""

    @property
    def choices(self) -> tuple[str, ...]:
        """Words that it admits at present."""
        return (*self.words, *self.table)

    @property
    def help(self) -> str:
        """What the field is, and what each entry of its table is."""
        return " ".join((self.text, *(f"{word}: {entry.help}." for word, entry in self.table.items())))

    @property
    def group(self) -> type | None:
        """The settings class that the field holds, if it holds one."""
        return next((kind for kind in self.kinds if is_pydantic_dataclass(kind)), None)

    @property
    def limits(self) -> str:
        """Range and unit in words; empty where there is no range."""
        if self.range is None:
            return ""
        low, high = map(number_text, self.range)
        return f"{low} to {high} {self.unit}".rstrip()

    @property
    def expected(self) -> str:
        """What the field admits, in words."""
        if self.group is not None:
            return "a group of settings: " + ", ".join(fields_of(self.group))
        admitted = [*self.choices, *(self._in_words(kind) for kind in self.kinds)]
        words = " or ".join(filter(None, [", ".join(admitted[:-1]), admitted[-1]]))
        return f"{words}, or None" if self.optional else words

    def _in_words(self, kind: type) -> str:
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
        word = self.spelling or ("an even number" if self.even else "a path" if self.is_path else words[kind])
        word = f"{word} or several" if self.several else word
        return f"{word}, {self.limits}" if self.limits else word


@functools.cache
def fields_of(group: type) -> dict[str, SettingsField]:
    """Read the fields of a settings class, by name and in their order."""
    hints = typing.get_type_hints(group, include_extras=True)
    helps = group.__pydantic_fields__  # type: ignore[attr-defined]
    found = {}
    for field in dataclasses.fields(group):
        parts, marks = _taken_apart(hints[field.name])
        interval: Any = next((mark for mark in marks if isinstance(mark, Interval)), None)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        table: Mapping[str, Described] = next((mark.table for mark in marks if isinstance(mark, OneOf)), {})
        kinds = tuple(part for part in parts if isinstance(part, type) and part is not type(None) and not table)
        texts = [helps[field.name].description, *(kind.__doc__ for kind in kinds if is_pydantic_dataclass(kind))]
        found[field.name] = SettingsField(
            name=field.name,
            kinds=kinds,
            words=tuple(word for part in parts if typing.get_origin(part) is Literal for word in part.__args__),
            table=table,
            optional=type(None) in parts,
            default=default,
            text=" ".join(next(filter(None, texts), "").split()),
            unit=next((mark.name for mark in marks if isinstance(mark, Unit)), ""),
            range=None if interval is None else (interval.ge, interval.le),
            even=any(isinstance(mark, MultipleOf) for mark in marks),
            spelling=next((mark.expected for mark in marks if isinstance(mark, Spelling)), ""),
            is_path=any(isinstance(mark, FilePath) for mark in marks),
            several=any(typing.get_origin(part) is tuple for part in parts),
        )
    return found


def number_text(number: float) -> str:
    """Write a number in as few characters as say it exactly."""
    short = f"{number:.10g}"
    return short if isinstance(number, float) and float(short) == number else str(number)


def _taken_apart(hint: Any) -> tuple[list[Any], list[Any]]:
    """Split an annotation into the types of its union, and all marks on them."""
    if typing.get_origin(hint) is Annotated:
        parts, marks = _taken_apart(hint.__origin__)
        return parts, [*marks, *hint.__metadata__]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        pairs = [_taken_apart(part) for part in typing.get_args(hint)]
        return [part for parts, _ in pairs for part in parts], [mark for _, marks in pairs for mark in marks]
    return [hint], []
