"""The sheet of a cryoSPARC result group (.csg), which names the .cs files that hold the particles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from napari_cryospin.io.cryosparc.kinds import GROUP_TYPES
from napari_cryospin.io.files import check_is_file, find_by_name
from napari_cryospin.io.foreign import refuse_foreign
from napari_cryospin.listing import first_of, shortened

IMAGES = "blob"
"""Name of the result with the places of the images. The file that holds it is the main one, not a passthrough file."""
PARTICLE = "particle"
"""Type of a group of particles."""
RESULTS = re.compile(r"^results\s*:", re.MULTILINE)


def group_files(path: Path | str) -> tuple[Path, tuple[Path, ...]]:
    """Find the .cs file with a group's images, and the files with further fields of the same particles.

    Parameters
    ----------
    path
        .csg file, from the folder of a cryoSPARC job or from an export.

    Returns
    -------
    tuple
        The .cs file with the images, and the other .cs files.

    Raises
    ------
    FileNotFoundError, ValueError
        The sheet is not one of particles, or files that it names are missing; the message lists all of them.
    """
    path = check_is_file(path)
    refuse_foreign(path, "a .csg file")
    try:
        text = path.read_text(encoding="utf-8")
        sheet = yaml.safe_load(text)
        results = sheet["results"]
        names = {result: str(entry["metafile"]).removeprefix(">") for result, entry in results.items()}
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a readable .csg file (YAML, each of its `results` with a `metafile`)") from error
    if len(RESULTS.findall(text)) > 1:  # YAML would take the last of them without a word
        raise ValueError(f"{path}: found several `results`, expected one: two files in one, perhaps")
    _check_type(path, sheet)
    if IMAGES not in names:
        found = first_of(names) or "none"
        raise ValueError(f"{path}: found the results {found}, expected {IMAGES} among them: particles with images")
    ordered = dict.fromkeys([names[IMAGES], *names.values()])
    files = {name: find_by_name(name, path) for name in ordered}
    missing = [name for name, file in files.items() if file is None]
    if missing:
        raise FileNotFoundError(f"{path}: names files that are neither beside it nor above: {first_of(missing)}")
    images, *further = [file for file in files.values() if file is not None]
    return images, tuple(further)


def _check_type(path: Path, sheet: dict[str, Any]) -> None:
    """Refuse a group that says that it holds other things than particles."""
    entries = [sheet.get("group"), *sheet["results"].values()]
    types = [str(entry["type"]).split(".")[0] for entry in entries if isinstance(entry, dict) and "type" in entry]
    other = next((name for name in types if name != PARTICLE), None)
    if other is not None:
        what = f" ({GROUP_TYPES[other]})" if other in GROUP_TYPES else ""
        raise ValueError(f"{path}: found a group of type {shortened(other)}{what}, expected {PARTICLE}")
