"""Stacks of class averages, which no header tells from particles: told by their names and by the files beside them."""

from __future__ import annotations

import re
from pathlib import Path

RELION_CLASSES = re.compile(r"(?P<job>.+?)(_unmasked)?_class(es|\d+)?", re.IGNORECASE)
"""Name of a classification's averages without its suffix: run_it025_classes, run_class, run_unmasked_classes."""
RELION_ITERATION = re.compile(r".*_it\d{3,}(_unmasked)?_class(es|\d+)", re.IGNORECASE)
"""Such a name that only RELION gives."""
NAMED_AVERAGES = re.compile(r"(.*_)?(class_averages|templates_selected)", re.IGNORECASE)
"""Name, without its suffix, that 2D classifications and selections of cryoSPARC and RELION give to averages."""


def refuse_class_averages(path: Path) -> None:
    """Refuse a stack that its name, or a file beside it, says to hold class averages.

    Raises
    ------
    ValueError
        Says by what they were recognised, and where the particles are.
    """
    found = _averages_of_relion(path) or _averages_by_name(path)
    if found:
        raise ValueError(f"{path}: {found}. If these are particles all the same, give the stack another name")


def _averages_of_relion(path: Path) -> str:
    """Say that a stack is the averages of a classification with RELION; empty: it is not known to be."""
    name = RELION_CLASSES.fullmatch(path.stem)
    if name is None:
        return ""
    model, data = (path.with_name(f"{name['job']}_{kind}.star") for kind in ("model", "data"))
    if not model.is_file() and not RELION_ITERATION.fullmatch(path.stem):
        return ""
    told = f"{model.name} is beside it" if model.is_file() else "so RELION names them"
    there = "are" if data.is_file() else "should be"
    return f"found class averages ({told}), expected particles; those of the classification {there} in {data.name}"


def _averages_by_name(path: Path) -> str:
    """Say that a stack is named as 2D classifications name averages; empty: it is not."""
    if not NAMED_AVERAGES.fullmatch(path.stem):
        return ""
    return (
        "found class averages (by its name), expected particles; those of a classification are in a file of their own, "
        "such as ..._particles.cs or particles.star"
    )
