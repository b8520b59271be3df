"""The maps that the package ships, to simulate particles from."""

from __future__ import annotations

from pathlib import Path

SAMPLE_FOLDER = Path(__file__).parents[1] / "data"
SAMPLE_MAPS = {name: SAMPLE_FOLDER / f"{name}_64.mrc" for name in ("spliceosome", "spike", "hsp90")}
"""Molecule -> MRC file, 64 px, protein positive."""
