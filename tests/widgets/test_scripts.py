"""The scripts that drive the real window, as small as they can be."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from support.scripts import REPOSITORY

QUIET = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def run_script(name, *arguments):
    command = [sys.executable, REPOSITORY / "scripts" / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env=QUIET, check=False)


@pytest.mark.slow
def test_random_actions_do_no_harm():
    done = run_script("monkey.py", "--actions", 60, "--seed", 11)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "0 faults" in done.stderr


@pytest.mark.slow
def test_the_demo_ends_with_pictures_of_the_window_and_a_report(tmp_path):
    done = run_script("demo_window.py", "--unattended", "--count", 24, "--output", tmp_path / "demo")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "map, poses and pictures" in done.stdout
    for name in ("1_auto_encoding", "2_auto_decoding", "3_finished"):
        with Image.open(tmp_path / "demo" / f"{name}.png") as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 500
    assert (tmp_path / "demo" / "run" / "results" / "map.mrc").is_file()
