"""Files of Fourier shell correlation: CSV, STAR as RELION's postprocessing writes it, and EMDB's XML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.star.text import write_blocks
from napari_cryospin.listing import first_of

RELION_COLUMNS = {
    "corrected": "rlnFourierShellCorrelationCorrected",
    "unmasked": "rlnFourierShellCorrelationUnmaskedMaps",
    "masked": "rlnFourierShellCorrelationMaskedMaps",
    "phase_randomised": "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
}
"""Name of a curve -> its column in RELION's table `data_fsc`."""


def write_fsc_csv(path: Path, curves: Mapping[str, NDArray]) -> None:
    """Write curves as comma-separated text, one column for each, in the order in which they are given.

    Parameters
    ----------
    path
        File to write.
    curves
        Name -> `(shells,)` values: `frequency` (1/A) and the curves.
    """
    with atomic_write(path) as part:
        pd.DataFrame(dict(curves)).to_csv(part, index=False, float_format="%.6f")


def write_fsc_star(path: Path, curves: Mapping[str, NDArray], resolution: float) -> None:
    """Write curves as a STAR file with RELION's tables `general` and `fsc`.

    Parameters
    ----------
    path, curves
        As in `write_fsc_csv`.
    resolution
        Resolution in A; nan if it is not known.
    """
    frequency = np.asarray(curves["frequency"], dtype=np.float64)
    # RELION, too, writes 999 A for the shell of frequency 0.
    angstrom = np.divide(1, frequency, out=np.full_like(frequency, 999.0), where=frequency > 0)
    table = {"rlnSpectralIndex": np.arange(len(frequency)), "rlnResolution": frequency}
    table |= {"rlnAngstromResolution": angstrom}
    table |= {column: curves[name] for name, column in RELION_COLUMNS.items() if name in curves}
    known = {"general": {"rlnFinalResolution": f"{resolution:.6f}"}} if np.isfinite(resolution) else {}
    write_blocks(path, {**known, "fsc": pd.DataFrame(table)})


def write_fsc_xml(path: Path, frequency: NDArray, correlation: NDArray, title: str) -> None:
    """Write one curve as XML in the form that a deposition at EMDB takes: an element `fsc` with `coordinate`s.

    Parameters
    ----------
    path
        File to write.
    frequency, correlation
        `(shells,)` frequencies in 1/A, and `(shells,)` correlations from -1 to 1.
    title
        Title of the curve.
    """
    root = ElementTree.Element("fsc", title=title, xaxis="Resolution (A-1)", yaxis="Correlation Coefficient")
    for x, y in zip(frequency, correlation, strict=True):
        coordinate = ElementTree.SubElement(root, "coordinate")
        # The schema has decimal numbers, which must not be written with an exponent.
        ElementTree.SubElement(coordinate, "x").text = f"{x:.6f}"
        ElementTree.SubElement(coordinate, "y").text = f"{y:.6f}"
    ElementTree.indent(root)
    with atomic_write(path) as part:
        ElementTree.ElementTree(root).write(part, encoding="UTF-8", xml_declaration=True)


def read_fsc_csv(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read the curves that `write_fsc_csv` wrote.

    Returns
    -------
    dict
        Name -> `(shells,)` values: `frequency` (1/A) and the curves.

    Raises
    ------
    ValueError
        The file has no column `frequency`.
    """
    table = pd.read_csv(path)
    if "frequency" not in table:
        raise ValueError(f"{path}: columns {first_of(table.columns)}; expected frequency among them")
    return {str(name): table[name].to_numpy(dtype=np.float64) for name in table.columns}
