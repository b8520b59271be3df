"""Fourier shell correlation as files: text (CSV), STAR as RELION's postprocessing writes it, and EMDB's XML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cryospin.io.files import atomic_write
from napari_cryospin.io.star.text import write_blocks

RELION_COLUMNS = {
    "corrected": "rlnFourierShellCorrelationCorrected",
    "unmasked": "rlnFourierShellCorrelationUnmaskedMaps",
    "masked": "rlnFourierShellCorrelationMaskedMaps",
    "phase_randomised": "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
}
"""Curve -> column of RELION's `data_fsc` table."""


def write_fsc_csv(path: Path, curves: Mapping[str, NDArray]) -> None:
    """Write curves as comma-separated text, one column each, `frequency` (1/A) first.

    Parameters
    ----------
    path
        File to write.
    curves
        `frequency` and the curves' names -> `(shells,)`.
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
        A; nan where it is not known.
    """
    frequency = np.asarray(curves["frequency"], dtype=np.float64)
    angstrom = np.divide(1, frequency, out=np.full_like(frequency, 999.0), where=frequency > 0)  # as RELION has it
    table = {"rlnSpectralIndex": np.arange(len(frequency)), "rlnResolution": frequency}
    table |= {"rlnAngstromResolution": angstrom}
    table |= {column: curves[name] for name, column in RELION_COLUMNS.items() if name in curves}
    known = {"general": {"rlnFinalResolution": f"{resolution:.6f}"}} if np.isfinite(resolution) else {}
    write_blocks(path, {**known, "fsc": pd.DataFrame(table)})


def write_fsc_xml(path: Path, frequency: NDArray, correlation: NDArray, title: str) -> None:
    """Write one curve in EMDB's XML (element `fsc` with `coordinate`s), as its deposition takes it.

    Parameters
    ----------
    path
        File to write.
    frequency, correlation
        `(shells,)`: 1/A, and -1..1.
    title
        What the curve is.
    """
    root = ElementTree.Element("fsc", title=title, xaxis="Resolution (A-1)", yaxis="Correlation Coefficient")
    for x, y in zip(frequency, correlation, strict=True):
        coordinate = ElementTree.SubElement(root, "coordinate")
        # Decimal numbers of the schema know no exponent.
        ElementTree.SubElement(coordinate, "x").text = f"{x:.6f}"
        ElementTree.SubElement(coordinate, "y").text = f"{y:.6f}"
    ElementTree.indent(root)
    with atomic_write(path) as part:
        ElementTree.ElementTree(root).write(part, encoding="UTF-8", xml_declaration=True)


def read_fsc_csv(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read curves as `write_fsc_csv` wrote them."""
    table = pd.read_csv(path)
    if "frequency" not in table:
        raise ValueError(f"{path}: columns {', '.join(table.columns)}; expected frequency among them")
    return {str(name): table[name].to_numpy(dtype=np.float64) for name in table.columns}
