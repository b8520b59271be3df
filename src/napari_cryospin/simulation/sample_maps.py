"""Maps in the package, from which particles can be simulated."""

from __future__ import annotations

from pathlib import Path

SAMPLE_FOLDER = Path(__file__).parents[1] / "data"
"""Folder of the maps."""
SAMPLE_MAPS = {name: SAMPLE_FOLDER / f"{name}_64.mrc" for name in ("spliceosome", "spike", "hsp90")}
"""Molecule -> MRC file of 64 px, with positive protein."""
