"""Messages that advise an option: none names a flag, and each face of the program names the option in its own way."""

import ast
import dataclasses
import pickle
import re
from pathlib import Path

import pytest

from napari_cryospin.advice import Advice, with_options
from support.advised import PACKAGE, advised

FACES = ("cli", "widgets", "__main__.py")
"""What knows who is listening: the command line names flags, the window speaks of sbatch's."""
OTHER_PROGRAMS = {
    "exporters/cryodrgn.py": {"--poses", "--ind", "--ctf", "--uninvert-data"},
    "exporters/maps.py": {"--firstiter_cc"},
    "exporters/relion.py": {"--multiply_constant"},
    "settings/groups.py": {"--ini_high"},
    "runs/launch.py": {"--gres", "--job-name", "--output", "--signal", "--parsable"},
}
"""Flags of cryoDRGN, RELION and sbatch in texts about these programs, or in their commands."""
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")


def sources() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in FACES]


def texts(path: Path) -> str:
    tree = ast.walk(ast.parse(path.read_text()))
    return "\n".join(node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str))


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_text_names_a_flag(path):
    known = OTHER_PROGRAMS.get(path.relative_to(PACKAGE).as_posix(), set())
    assert {flag.rstrip("-") for flag in FLAG.findall(texts(path))} <= known


def test_advised_options_exist():
    """In Python: each is a parameter of `open_particles`, or a field of one of the classes of options."""
    from napari_cryospin.exporters.options import ExportOptions
    from napari_cryospin.runs.source import InputOptions
    from napari_cryospin.settings import (
        EncoderSettings,
        PosteriorSettings,
        PreparationSettings,
        StartSettings,
        VolumeSettings,
    )
    from napari_cryospin.simulation.images import SimulationSettings

    groups = (ExportOptions, InputOptions, PreparationSettings, StartSettings, EncoderSettings, VolumeSettings)
    groups += (PosteriorSettings, SimulationSettings)
    assert len(advised()) == 19
    assert advised() <= {field.name for group in groups for field in dataclasses.fields(group)}


def test_options_are_named_between_message_and_details():
    advice = Advice("2 stacks missing", "data_dir", "unknown", "box", details=": a, b")
    assert advice == "2 stacks missing: a, b"
    names = {"data_dir": "--data-dir", "box": "--box"}.get
    assert with_options(advice, names) == "2 stacks missing (--data-dir or --box): a, b"
    assert with_options(ValueError(advice), names) == with_options(advice, names)
    assert with_options(advice, lambda option: None) == str(advice) == str(ValueError(advice))
    assert with_options("a text", names) == with_options(ValueError("a text"), names) == "a text"
    assert with_options(ValueError(), names) == ""
    again = pickle.loads(pickle.dumps(advice))
    assert with_options(again, names) == with_options(advice, names)
