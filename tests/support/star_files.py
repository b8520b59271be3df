"""Small particle sets on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile

from support.stacks import write_stack


@pytest.fixture
def images() -> np.ndarray:
    """`(6, 16, 16)` noise."""
    return np.random.default_rng(0).normal(size=(6, 16, 16)).astype(np.float32)


@pytest.fixture
def optics() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "rlnOpticsGroup": [1],
            "rlnOpticsGroupName": ["opticsGroup1"],
            "rlnVoltage": [300.0],
            "rlnSphericalAberration": [2.7],
            "rlnAmplitudeContrast": [0.1],
            "rlnImagePixelSize": [2.0],
            "rlnImageSize": [16],
            "rlnImageDimensionality": [2],
        }
    )


@pytest.fixture
def rows() -> pd.DataFrame:
    """Three particles, out of order, with columns that nobody knows and texts that look like numbers."""
    return pd.DataFrame(
        {
            "rlnImageName": ["000003@stack.mrcs", "000001@stack.mrcs", "000006@stack.mrcs"],
            "rlnMicrographName": ["007", "1e3", "mic with space.mrc"],
            "someNumber": ["0.123456789012", "-1.50", "1e-12"],
            "rlnDefocusU": [15000.0, 16000.0, 17000.0],
            "rlnDefocusV": [14000.0, 15000.0, 16000.0],
            "rlnDefocusAngle": [35.0, 10.0, -20.0],
            "rlnOpticsGroup": [1, 1, 1],
            "rlnAngleRot": [30.0, 0.0, 10.0],
            "rlnAngleTilt": [50.0, 90.0, 20.0],
            "rlnAnglePsi": [70.0, 0.0, 30.0],
            "rlnOriginXAngst": [1.0, -2.0, 0.5],
            "rlnOriginYAngst": [0.0, 3.0, -0.5],
        }
    )


@pytest.fixture
def project(tmp_path: Path, images: np.ndarray) -> Path:
    """Folder with a stack of six images of 16 px at 2 A."""
    write_stack(tmp_path / "stack.mrcs", images, 2.0)
    return tmp_path


@pytest.fixture
def write_star(project: Path) -> Callable[..., Path]:
    """Writes blocks as `particles.star` in the project."""

    def write(blocks: dict[str, pd.DataFrame], name: str = "particles.star") -> Path:
        starfile.write(blocks, project / name)
        return project / name

    return write


@pytest.fixture
def star(write_star: Callable[..., Path], optics: pd.DataFrame, rows: pd.DataFrame) -> Path:
    """A good RELION 3.1 STAR file."""
    return write_star({"optics": optics, "particles": rows})
