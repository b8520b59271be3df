"""Atoms of PDB and mmCIF files against what was written into them."""

import sys

import numpy as np
import pytest

from napari_cryospin.io.atomic_model import is_model, read_atoms

ROW = "ATOM  {:5d}  {:<3s} ALA A{:4d}    {:8.3f}{:8.3f}{:8.3f}{:6.2f} 20.00          {:>2s}\n"
ATOMS = [("CA", (1.0, 2.0, 3.0), 1.0, "C"), ("N", (-4.5, 0.25, 9.125), 0.5, "N"), ("O", (7.0, -3.0, 2.0), 1.0, "O")]
WATER = "HETATM   99  O   HOH B  99      50.000  50.000  50.000  1.00 20.00           O\n"


def write_pdb(path):
    rows = [ROW.format(k, name, k, *place, share, kind) for k, (name, place, share, kind) in enumerate(ATOMS, 1)]
    path.write_text("".join(rows) + WATER + "END\n")
    return path


def test_positions_and_electrons_are_read_without_water(tmp_path):
    pytest.importorskip("gemmi")
    found = read_atoms(write_pdb(tmp_path / "m.pdb"))
    np.testing.assert_allclose(found.positions, [place for _, place, _, _ in ATOMS])
    np.testing.assert_allclose(found.weights, [6, 3.5, 8])


def test_mmcif_says_the_same(tmp_path):
    gemmi = pytest.importorskip("gemmi")
    pdb = write_pdb(tmp_path / "m.pdb")
    gemmi.read_structure(str(pdb)).make_mmcif_document().write_file(str(tmp_path / "m.cif"))
    np.testing.assert_allclose(read_atoms(tmp_path / "m.cif").positions, read_atoms(pdb).positions)


def test_what_is_no_model_is_refused(tmp_path):
    pytest.importorskip("gemmi")
    (tmp_path / "empty.pdb").write_text("END\n")
    with pytest.raises(ValueError, match="no atoms"):
        read_atoms(tmp_path / "empty.pdb")
    with pytest.raises(FileNotFoundError):
        read_atoms(tmp_path / "nowhere.pdb")


def test_without_gemmi_the_way_out_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gemmi", None)
    with pytest.raises(ValueError, match="pip install"):
        read_atoms(write_pdb(tmp_path / "m.pdb"))


@pytest.mark.parametrize(
    ("name", "model"), [("a.PDB", True), ("a.cif.gz", True), ("a.mrc", False), ("a.pdb.mrc", False)]
)
def test_models_are_known_by_their_ending(name, model):
    assert is_model(name) == model
