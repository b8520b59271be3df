"""What an export carries over of the optics, and says that it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import starfile

from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.exporters.table import export_run
from napari_cryospin.io.open import open_particles

LEFT_OUT = ["rlnMtfFileName", "rlnCtfBfactor"]


@pytest.fixture
def aberrated(star: Path) -> Path:
    """Two optics groups with an MTF, a beam tilt and tetrafoil, of one box and pixel size; and a B-factor."""
    blocks = starfile.read(star)
    blocks["optics"] = blocks["optics"].assign(
        rlnImageSize=64,
        rlnImagePixelSize=1.5,
        rlnMtfFileName="mtf.star",
        rlnBeamTiltX=[0.3, 0.0],
        rlnBeamTiltY=[0.1, 0.0],
        rlnEvenZernike=["[0,0,0,0,50,0,0,0,0]", "[0,0,0,0,0,0,0,0,20]"],
        rlnMagMat00=[1.01, 1.0],
        rlnMagMat01=0.0,
        rlnMagMat10=0.0,
        rlnMagMat11=[0.99, 1.0],
    )
    starfile.write(blocks | {"particles": blocks["particles"].assign(rlnCtfBfactor=20.0)}, star)
    return star


def said(notes: tuple[str, ...], *names: str) -> bool:
    return all(any(name in note for note in notes) for name in names)


def test_relion_to_relion_keeps_all(aberrated, make_run, tmp_path):
    exported = export_run(make_run(aberrated, range(12)), "relion", tmp_path / "out.star")
    before, after = starfile.read(aberrated)["optics"], starfile.read(tmp_path / "out.star")["optics"]
    assert after.equals(before)
    assert not any(name in note for name in LEFT_OUT for note in exported.notes)


def test_relion_to_cryosparc(aberrated, make_run, tmp_path):
    """Each particle has the aberrations of its group; what has no field is named."""
    run = make_run(aberrated, range(12))
    exported = export_run(run, "cryosparc", tmp_path / "out")
    found = np.load(exported.paths[1])
    tilt = np.array([[0.3e-3, 0.1e-3], [0, 0]])[np.arange(12) % 2] * 2.7e7
    np.testing.assert_allclose(found["ctf/tilt_A"], tilt, rtol=1e-5)
    np.testing.assert_allclose(found["ctf/anisomag"][:2], [[0.01, 0, 0, -0.01], [0, 0, 0, 0]], atol=1e-7)
    assert (found["ctf/tetra_A"][0::2, 3] > 0).all()
    assert (found["ctf/tetra_A"][1::2, 2] > 0).all()
    assert said(exported.notes, *LEFT_OUT, "aberrations are carried over as lengths")
    shifts = found["alignments3D/shift"] * found["alignments3D/psize_A"][:, None]
    magnification = np.where((np.arange(12) % 2 == 0)[:, None], [1.01, 0.99], 1.0)
    np.testing.assert_allclose(shifts, open_results(run).record.shifts * magnification, rtol=1e-5, atol=1e-5)


def test_cryodrgn_has_no_place_for_most(aberrated, make_run, tmp_path):
    exported = export_run(make_run(aberrated, range(12)), "cryodrgn", tmp_path / "out")
    assert said(exported.notes, "ctf.pkl has no place for: rlnMtfFileName; B-factor; aberrations")


def test_cryosparc_to_relion(shared_data, make_run, tmp_path):
    """What cryoSPARC reckons with and neither a run nor the STAR file has is named."""
    stored = np.load(shared_data / "files" / "cryosparc_P12_J24_001_particles.cs", max_header_size=2**30)[:8].copy()
    stored["ctf/scale"] = 0.5
    table = np.empty(8, [*stored.dtype.descr, ("ctf/tilt_A", "f4", (2,))])
    for name in stored.dtype.names:
        table[name] = stored[name]
    table["ctf/tilt_A"] = 4000.0, -1000.0
    source = tmp_path / "input" / "particles.cs"
    source.parent.mkdir()
    with source.open("wb") as file:
        np.save(file, table)
    assert open_particles(source, require_stacks=False).unused == ("ctf/scale",)
    exported = export_run(make_run(source, range(8)), "relion", tmp_path / "out.star")
    optics = starfile.read(tmp_path / "out.star")["optics"]
    cs = float(stored["ctf/cs_mm"][0])
    np.testing.assert_allclose(optics["rlnBeamTiltX"], 1e3 * 4000 / (cs * 1e7), rtol=1e-4)
    assert said(exported.notes, "not carried over: ctf/scale", "aberrations are carried over", "one sign for both")
