"""Fixtures that all rooms share."""

from pathlib import Path

import pytest
import torch

pytest_plugins = [
    "support.fake_chimerax",
    "support.pretend_device",
    "support.simulated",
    "support.star_files",
    "support.version_0_1",
    "support.toy_method",
]

torch.set_num_threads(1)  # small tests on a busy machine: threads that wait for each other cost more than they bring


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of maps and real files beside the checkout; the test is skipped where it is absent."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip("no shared data beside the checkout")
    return path
