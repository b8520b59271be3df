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
    takes_poses : bool
        The poses are those of the particles' file.
    requires : mapping of str to value
        Settings that must have a value: `{"volume.volume_update": "wiener"}`.
    preset : str
        Name of the preset that is made for the method; empty: there is none.
    """

    name: str
    help: str
    uses_encoder: bool = True
    has_switch: bool = True
    takes_poses: bool = False
    requires: Mapping[str, Any] = field(default_factory=dict)
    preset: str = ""

    def complaint(self, settings: Any) -> str | None:
        """Describe the settings that the method requires, if any of them has another value."""
        needed = {tuple(path.split(".")): value for path, value in self.requires.items()}
        if all(getattr(getattr(settings, group), name) == value for (group, name), value in needed.items()):
            return None
        words = (_in_words(name, value) for (_, name), value in needed.items())
        made_so = f", as in the preset {self.preset}" if self.preset else ""
        return f"method is {self.name}; expected {' and '.join(words)} with it{made_so}"


def _in_words(name: str, value: object) -> str:
    return f"{'no ' * (value is False)}{name}" if isinstance(value, bool) else f"{name} {value}"


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
CRYOPOSENET = declare(
    MethodDescription(
        name="cryoposenet",
        help="one head to the end",
        has_switch=False,
        requires={"encoder.heads": 1, "encoder.half_turned": False},
        preset="cryoposenet",
    )
)
CRYOAI = declare(
    MethodDescription(
        name="cryoai",
        help="one head, for each image and its half-turned copy, and an implicit volume",
        has_switch=False,
        requires={"encoder.heads": 1, "encoder.half_turned": True, "volume.volume_update": "implicit"},
        preset="cryoai",
    )
)
CRYOAI_EXPLICIT = declare(
    MethodDescription(
        name="cryoai-explicit",
        help="the same with the explicit volume",
        has_switch=False,
        requires={"encoder.heads": 1, "encoder.half_turned": True, "volume.volume_update": "adam"},
        preset="cryoai-explicit",
    )
)
HIERARCHICAL = declare(
    MethodDescription(
        name="hierarchical",
        help="a pose search from coarse to fine at every visit, without an encoder",
        uses_encoder=False,
        has_switch=False,
        requires={"volume.volume_update": "adam"},
        preset="hierarchical",
    )
)
KNOWN_POSES = declare(
    MethodDescription(
        name="known-poses",
        help="the volume alone, at the poses of the file",
        uses_encoder=False,
        has_switch=False,
        takes_poses=True,
        preset="known-poses",
    )
)
