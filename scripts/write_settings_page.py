"""Write docs/settings.md from the settings classes. A test fails where the page is not up to date."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_cryospin.settings import PRESETS, Settings, SettingsField, fields_of
from napari_cryospin.simulation.images import SimulationSettings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

INTRODUCTION = """\
# Settings

Written by `scripts/write_settings_page.py` from the classes in `napari_cryospin.settings`: edit those, not this page.

A run has one set of settings. The command line has a flag for each, the window a field, and the run's folder keeps
them all in `settings.json`; all three are checked by the same classes. A wrong value or an unknown name is refused
with one message that says which setting is wrong, what was found and what is expected.

A preset is a full set of settings; what is given beside it overrides it. Command line, window and Python begin with the
preset quick; the values of all presets are in the [last table](#presets). The column *Default* is what a bare
`Settings()` has, and a field that a `settings.json` does not name: it is no preset.

These do not go together, and are refused before a run begins:

* `volume_update` wiener without `pose_update` gauss-newton, or the other way round (but in methods that never switch,
  which take no pose steps);
* `loss` absolute with `pose_update` gauss-newton, whose steps are those of the squared error;
* `method` search without `volume_update` wiener and `posterior_sample`, `method` em without `volume_update` wiener;
  cryoposenet with more than one head or with `half_turned`; cryoai and cryoai-explicit with more than one head or
  without `half_turned`; cryoai without `volume_update` implicit, cryoai-explicit and hierarchical without adam. The
  preset of a method's name has what it requires;
* `assignments` soft without `volume_update` wiener;
* `classes` above 1 without `volume_update` wiener, or with a method without a switch;
* `grow_further` without `volume_update` wiener;
* `exponent` false without `volume_update` adam;
* `switch` after as many epochs as `epochs`, or more (but in methods that never switch);
* `first_band` above `encoding_band`, or a resolution that is finer than the one after it;
* `first_band` with `first_resolution`, or `encoding_band` with `encoding_resolution`. A preset's number of shells gives
  way by itself;
* `reference` without `posterior_sample`: heads that have learned nothing yet would spoil the map; or with
  `volume_update` implicit, which can hold no map;
* several maps as `reference`, but not as many as `classes`.

Resolutions are converted to shells of the working box, rounded so that nothing finer than asked is looked at. They lie
between Nyquist and two shells of the box; the check before a run says what that is for the particles at hand.
"""


def page() -> str:
    """Write the page as Markdown."""
    groups = [field for field in fields_of(Settings).values() if field.group is not None]
    parts = [INTRODUCTION, section("Run", "All settings of a run.", Settings)]
    parts += [section(field.name.capitalize(), field.help, field.group) for field in groups if field.group]
    parts.append(section("Simulation", "What `napari-cryospin simulate` makes from a map.", SimulationSettings))
    return "\n".join([*parts, presets()])


def section(title: str, text: str, group: type) -> str:
    """Write a table of the fields of a settings class."""
    rows = [row(field) for field in fields_of(group).values() if field.group is None]
    head = ["| Setting | Flag | Values | Default | Meaning |", "|---|---|---|---|---|"]
    return "\n".join([f"## {title}", "", text, "", *head, *rows, ""])


def row(field: SettingsField) -> str:
    """Write a field as a row of its table."""
    flag = "--" + field.name.replace("_", "-")
    flags = f"`{flag}`, `--no-{flag[2:]}`" if bool in field.kinds else f"`{flag}`"
    return f"| `{field.name}` | {flags} | {field.expected} | {field.default} | {field.help} |"


def presets() -> str:
    """Write a table of what differs between the presets."""
    head = ["| Setting | " + " | ".join(PRESETS) + " |", "|---" * (len(PRESETS) + 1) + "|"]
    columns = [dict(values(settings)) for settings in PRESETS.values()]
    rows = [[column[name] for column in columns] for name in columns[0]]
    lines = [
        f"| `{name}` | " + " | ".join(map(str, row)) + " |"
        for name, row in zip(columns[0], rows, strict=True)
        if len(set(map(str, row))) > 1
    ]
    return "\n".join(["## Presets", "", "Settings in which the presets differ.", "", *head, *lines, ""])


def values(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Yield name and value of every setting but the preset."""
    for name, value in dataclasses.asdict(settings).items():
        if isinstance(value, dict):
            yield from value.items()
        elif name != "preset":
            yield name, value


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
