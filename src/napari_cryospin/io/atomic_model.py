"""Atoms of a model, from PDB or mmCIF files, read by gemmi."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.files import check_is_file

MODEL_SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif")
"""Endings of files with atomic models, to which .gz may be added."""
NO_GEMMI = "reading an atomic model needs gemmi, which is not installed: pip install 'napari-cryospin[models]'"


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms of a model: `(n, 3)` positions in Angstrom, (x, y, z), and `(n,)` electrons times occupancy."""

    positions: NDArray[np.float64]
    weights: NDArray[np.float64]


def is_model(path: Path | str) -> bool:
    """Return whether a file is an atomic model, by its ending."""
    path = Path(path)
    ending = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return ending.lower() in MODEL_SUFFIXES


def read_atoms(path: Path | str) -> Atoms:
    """Read the atoms of the first model of a file, without water.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, it cannot be read, it has no atoms, or gemmi is not installed.
    """
    path = check_is_file(Path(path))
    try:
        import gemmi
    except ModuleNotFoundError as error:
        raise ValueError(f"{path}: {NO_GEMMI}") from error
    try:
        structure = gemmi.read_structure(str(path))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: not readable as PDB or mmCIF: {error}") from error
    structure.remove_waters()
    sites = [site.atom for site in structure[0].all()] if len(structure) else []
    if not sites:
        raise ValueError(f"{path}: no atoms; expected a model with atoms that are not water")
    positions = np.array([atom.pos.tolist() for atom in sites])
    weights = np.array([atom.element.atomic_number * atom.occ for atom in sites], dtype=np.float64)
    return Atoms(positions, weights)
