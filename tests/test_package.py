"""What is shipped: manifest, sample map, import directions, and what a plain import does not load."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import mrcfile
import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_cryospin"


def test_the_manifest_at_the_top_is_the_packaged_one():
    assert (ROOT / "napari.yaml").is_symlink()
    assert (ROOT / "napari.yaml").resolve() == PACKAGE / "napari.yaml"


def test_every_command_of_the_manifest_can_be_imported():
    manifest = PluginManifest.from_distribution("napari-cryospin")
    manifest.validate_imports()
    ids = {command.id for command in manifest.contributions.commands}
    assert {"napari-cryospin.read_map", "napari-cryospin.sample_spliceosome"} <= ids


def test_import_contracts_are_kept():
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "statement", ["import napari_cryospin", "import napari_cryospin.widgets.contributions.map_reader"]
)
def test_importing_loads_neither_torch_nor_qt(statement):
    heavy = ["torch", "qtpy", "PyQt6", "PySide6", "napari", "vispy"]
    code = f"{statement}\nimport sys\nprint([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_sample_map_is_small_float16_and_in_angstrom():
    path = PACKAGE / "data" / "spliceosome_64.mrc"
    assert path.stat().st_size < 600_000
    with mrcfile.open(path) as file:
        assert file.data.shape == (64, 64, 64)
        assert int(file.header.mode) == 12
        assert float(file.voxel_size.x) == pytest.approx(8.66)


@pytest.mark.slow
def test_wheel_and_sdist_contain_manifest_and_sample_map(tmp_path):
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    result = subprocess.run(build, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"napari_cryospin/napari.yaml", "napari_cryospin/data/spliceosome_64.mrc"} <= names
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"napari.yaml", "src/napari_cryospin/napari.yaml", "src/napari_cryospin/data/spliceosome_64.mrc"} <= names
