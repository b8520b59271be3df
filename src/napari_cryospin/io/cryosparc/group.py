"""The sheet of a cryoSPARC result group (.csg), which names the .cs files that hold the particles."""

from __future__ import annotations

from pathlib import Path

import yaml

from napari_cryospin.io.files import check_is_file, find_by_name

IMAGES = "blob"
"""Name of the result with the places of the images. The file that holds it is the main one, not a passthrough file."""


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
    try:
        results = yaml.safe_load(path.read_text(encoding="utf-8"))["results"]
        names = {result: str(entry["metafile"]).removeprefix(">") for result, entry in results.items()}
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a readable .csg file (YAML, each of its `results` with a `metafile`)") from error
    if IMAGES not in names:
        found = ", ".join(map(str, names)) or "none"
        raise ValueError(f"{path}: found the results {found}, expected {IMAGES} among them: particles with images")
    ordered = dict.fromkeys([names[IMAGES], *names.values()])
    files = {name: find_by_name(name, path) for name in ordered}
    missing = [name for name, file in files.items() if file is None]
    if missing:
        raise FileNotFoundError(f"{path}: names files that are neither beside it nor above: {', '.join(missing)}")
    images, *further = [file for file in files.values() if file is not None]
    return images, tuple(further)
