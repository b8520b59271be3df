"""Descriptions of the methods: name, help, and the settings that each requires.

Settings, command line and window read this table, without torch; `engine.methods` adds the parts that compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class MethodDescription:
    """Description of a method for settings, flags and forms.

    Attributes
    ----------
    name : str
        Its value in the setting `method`.
    help : str
        Its effect, in a few words.
    uses_encoder : bool
        Poses are proposed by the heads of an encoder.
    has_switch : bool
        A second stage follows, in which poses are refined directly.
    requires : mapping of str to value
        Settings that must have a value: `{"volume.volume_update": "wiener"}`.
    """

    name: str
    help: str
    uses_encoder: bool = True
    has_switch: bool = True
    requires: Mapping[str, Any] = field(default_factory=dict)

    def complaint(self, settings: Any) -> str | None:
        """Describe the settings that the method requires, if any of them has another value."""
        needed = {tuple(path.split(".")): value for path, value in self.requires.items()}
        if all(getattr(getattr(settings, group), name) == value for (group, name), value in needed.items()):
            return None
        words = (name if value is True else f"{name} {value}" for (_, name), value in needed.items())
        return f"method is {self.name}; expected {' and '.join(words)} with it"


DESCRIPTIONS: dict[str, MethodDescription] = {}


def declare(description: MethodDescription) -> MethodDescription:
    """Add a description to the table: settings admit the method's name from here on."""
    DESCRIPTIONS[description.name] = description
    return description


def withdraw(name: str) -> None:
    """Take a description out of the table."""
    del DESCRIPTIONS[name]


CRYOSPIN = declare(MethodDescription(name="cryospin", help="heads, then the switch"))
FULLY_AMORTIZED = declare(MethodDescription(name="fully-amortized", help="the encoder to the end", has_switch=False))
SEARCH = declare(
    MethodDescription(
        name="search",
        help="the pose grid alone",
        uses_encoder=False,
        requires={"volume.volume_update": "wiener", "posterior.posterior_sample": True},
    )
)
EM = declare(
    MethodDescription(
        name="em",
        help="every image at all poses of the grid, by its posterior",
        uses_encoder=False,
        has_switch=False,
        requires={"volume.volume_update": "wiener"},
    )
)
