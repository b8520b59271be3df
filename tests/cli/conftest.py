"""A run's folder, and particles on disk."""

from pathlib import Path

import numpy as np
import pytest

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from support.stacks import write_stack


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", RunInput(particles=Path("particles.star")), Settings())


@pytest.fixture
def stack(tmp_path) -> Path:
    """Six noise images with a CTF."""
    rng = np.random.default_rng(0)
    write_stack(tmp_path / "images.mrcs", rng.normal(size=(6, 32, 32)).astype(np.float32), 2.0)
    names = "ImageName ImagePixelSize ImageSize Voltage SphericalAberration AmplitudeContrast DefocusU DefocusV "
    names += "DefocusAngle"
    header = "".join(f"_rln{name} #{number}\n" for number, name in enumerate(names.split(), start=1))
    rows = "".join(f"{i + 1}@images.mrcs 2.0 32 300 2.7 0.1 15000 14000 35\n" for i in range(6))
    (tmp_path / "particles.star").write_text(f"data_particles\nloop_\n{header}{rows}")
    return tmp_path / "particles.star"
