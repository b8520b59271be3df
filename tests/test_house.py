"""The structure of the package: what must not be there, or become less (scripts/house_measures.py counts)."""

import pytest

from support.scripts import REPOSITORY, load_script

CEILINGS = {
    "import circles between modules": 0,
    "import circles between rooms": 0,
    "private names of another room": 0,
    "isinstance on volumes outside models": 0,
    "comparisons with the method's name": 0,
    "constant names that several files define": 0,
    "public function names that several files define": 0,
    "class names that several files define": 0,
    "command-line flags in texts outside cli": 0,
}
"""Measure -> the most that is admitted. Lower a number when the package allows it; never raise one."""


measures = load_script("scripts/house_measures.py")


@pytest.fixture(scope="module")
def package_counts():
    return measures.counts(measures.House(REPOSITORY / "src"))


def test_every_measure_has_a_ceiling(package_counts):
    assert set(package_counts) == set(CEILINGS)


@pytest.mark.parametrize(("name", "ceiling"), CEILINGS.items())
def test_package_keeps_to_its_ceiling(package_counts, name, ceiling):
    count = package_counts[name]
    assert count.number <= ceiling, "\n".join(count.found)


FILES = {
    "models/wave_volume.py": "class WaveVolume: ...\ndef leaf(x): return isinstance(x, WaveVolume)\n",
    # A circle that only type checkers see, and in it one question of each kind.
    "engine/fit.py": """
from typing import TYPE_CHECKING
from napari_cryospin.models.wave_volume import WaveVolume
if TYPE_CHECKING:
    from napari_cryospin.engine.loop import Loop
LIMIT = 3
def solve(volume, method):
    if isinstance(volume, int | WaveVolume) or method == "search":
        raise ValueError(f"{volume}: too large (--box)")
    match volume:
        case WaveVolume():
            return None
""",
    "engine/loop.py": "from napari_cryospin.engine.fit import solve\nclass Loop:\n    '''See --help.'''\n",
    # Circles by text: whole, with a constant, and with a part that only running the code would tell.
    "widgets/panels.py": "WHERE = 'napari_cryospin.widgets'\nRUN = f'{WHERE}.run.panel:Panel'\nLIMIT, OTHER = 4, 5\n",
    "widgets/run/panel.py": "import napari_cryospin.widgets.panels\nclass Panel: ...\n",
    "export/table.py": "ROWS = {'one': 'writer:write'}\ndef load(name): return f'napari_cryospin.export.{name}'\n",
    "export/writer.py": "from napari_cryospin.export.table import ROWS\nclass Panel: ...\ndef solve(): ...\n",
    # Another room's private names: imported, and read; those of the own room are free.
    "cli/run.py": """
from napari_cryospin.engine import fit as f, loop
from napari_cryospin.engine.fit import _hidden
print(f._secret, loop.__doc__, "--box")
""",
    "engine/own.py": "from napari_cryospin.engine.fit import _hidden\n",
}
EXPECTED = {
    "import circles between modules": 3,
    "import circles between rooms": 1,
    "private names of another room": 2,
    "isinstance on volumes outside models": 2,
    "comparisons with the method's name": 1,
    "constant names that several files define": 1,
    "public function names that several files define": 1,
    "class names that several files define": 1,
    "command-line flags in texts outside cli": 1,
}


def test_each_fault_is_found_once(tmp_path):
    for name, text in {"__init__.py": "", **FILES}.items():
        path = tmp_path / "napari_cryospin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
    counts = measures.counts(measures.House(tmp_path))
    assert {name: count.number for name, count in counts.items()} == EXPECTED, counts


def test_what_is_no_package_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no package"):
        measures.House(tmp_path)
