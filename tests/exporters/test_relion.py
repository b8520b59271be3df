"""Particles for RELION: read, posed anew, written, and read again by our reader and by starfile."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile
import torch
from scipy.ndimage import fourier_shift
from scipy.spatial.transform import Rotation
from torch_fourier_slice import project_3d_to_2d

from napari_cryospin.cli.console import with_flags
from napari_cryospin.exporters.options import ExportOptions
from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.exporters.table import export_run
from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.io.cryodrgn import write_ctf
from napari_cryospin.io.open import open_particles
from napari_cryospin.io.star.particles import IMAGE_COLUMNS, OTHER_POSES, POSTERIOR_COLUMNS, StarForm
from napari_cryospin.physics.fourier import fourier_crop
from napari_cryospin.physics.map_crop import fourier_crop_map
from napari_cryospin.settings import PreparationSettings, Settings
from napari_cryospin.simulation.images import Projections

ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
ANGST, PIXELS = ["rlnOriginXAngst", "rlnOriginYAngst"], ["rlnOriginX", "rlnOriginY"]
SET = [*ANGLES, *ANGST, *PIXELS, *POSTERIOR_COLUMNS.values()]


def texts(path: Path) -> dict[str, pd.DataFrame]:
    """The blocks as text, by starfile."""
    blocks = starfile.read(path, always_dict=True)
    names = [name for block in blocks.values() for name in block]
    return starfile.read(path, always_dict=True, parse_as_string=names)


def poses(table: pd.DataFrame) -> np.ndarray:
    """Rotations by RELION's own definition of its angles, of what starfile reads."""
    angles = table[ANGLES].astype(float).to_numpy()
    return Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)


def relion30(source: Path, path: Path) -> Path:
    """The particles of a file with optics groups as RELION 3.0 has them."""
    blocks = texts(source)
    rows = blocks["particles"].merge(blocks["optics"], on="rlnOpticsGroup", how="left", sort=False)
    pixel_size = rows["rlnImagePixelSize"].astype(float)
    columns = {"rlnDetectorPixelSize": "5.0", "rlnMagnification": (5e4 / pixel_size).map("{:.6f}".format)}
    columns |= dict.fromkeys(PIXELS, "0.25")
    beyond = [*ANGST, "rlnOpticsGroup", "rlnOpticsGroupName", "rlnImagePixelSize", "rlnImageDimensionality"]
    starfile.write({"": rows.drop(columns=beyond, errors="ignore").assign(**columns)}, path)
    return path


def magnification(blocks: dict[str, pd.DataFrame]) -> np.ndarray:
    """The magnification matrix of a file with one optics group."""
    names = [f"rlnMagMat{row}{column}" for row in (0, 1) for column in (0, 1)]
    return blocks["optics"][names].astype(float).to_numpy().reshape(2, 2)


REAL = {
    "real 3.0": "stacks/10076_classD_32_sim.star",
    "real 3.0 to 3.1": "stacks/10076_classD_32_sim.star",
    "real 3.1": "stacks/relion31.star",
    "5": "files/relion5.star",
}


@pytest.fixture(params=["3.0", "3.0 to 3.1", "3.1", *REAL])
def case(request: pytest.FixtureRequest, star: Path, tmp_path: Path) -> tuple[Path, ExportOptions]:
    """A STAR file of each version, and how it is to be written."""
    form: StarForm = "3.1" if "to" in request.param else "same"
    if request.param in REAL:
        return request.getfixturevalue("shared_data") / REAL[request.param], ExportOptions(star=form)
    if request.param == "3.1":
        return star, ExportOptions()
    return relion30(star, tmp_path / "input" / "old.star"), ExportOptions(star=form)


def test_round_trip(case, make_run, tmp_path):
    source, options = case
    before = texts(source)
    count = len(next(block for block in before.values() if "rlnImageName" in block))
    run = make_run(source, np.random.default_rng(3).permutation(count))  # kept by the run in any order
    results, out = open_results(run), tmp_path / "out" / "particles.star"
    assert export_run(run, "relion", out, options=options).paths == (out,)
    after = texts(out)
    rows_before = next(block for block in before.values() if "rlnImageName" in block)
    rows = next(block for block in after.values() if "rlnImageName" in block)
    kept = [name for name in rows_before if name in rows and name not in SET]
    for table in (rows, rows_before):  # stacks that are there get the path at which they are found from anywhere
        table["rlnImageName"] = table["rlnImageName"].str.replace(r"@.*/", "@", regex=True)
    pd.testing.assert_frame_equal(rows[kept], rows_before[kept])
    moved = set(rows_before) - set(rows) - set(OTHER_POSES)
    assert not set(OTHER_POSES) - set(POSTERIOR_COLUMNS.values()) & set(rows)
    if options.star == "same":
        assert list(after) == list(before)
        assert not moved
        for name in before:
            if "rlnImageName" not in before[name]:
                pd.testing.assert_frame_equal(after[name], before[name])
    else:
        optics = {"rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImageSize"}
        gone = {"rlnDetectorPixelSize", "rlnMagnification", *PIXELS, *optics}
        assert moved == gone & set(rows_before)
        assert optics | {"rlnImagePixelSize"} < set(after["optics"])
    np.testing.assert_allclose(poses(rows), results.record.rotations, atol=1e-6)
    ours, old = (open_particles(path, require_stacks=False) for path in (out, source))
    np.testing.assert_allclose(ours.rotations, results.record.rotations, atol=1e-6)
    np.testing.assert_allclose(ours.shifts, results.record.shifts, atol=1e-6 * ours.pixel_sizes.max())
    np.testing.assert_allclose(ours.pixel_sizes, old.pixel_sizes, rtol=1e-6)
    np.testing.assert_array_equal(ours.box_sizes, old.box_sizes)
    if old.stacks[0].is_file():
        np.testing.assert_array_equal(ours.read_images([count - 1]), old.read_images([count - 1]))
    for name, values in vars(old.ctf).items():
        np.testing.assert_allclose(getattr(ours.ctf, name), values, err_msg=name)
    origins = rows[PIXELS].astype(float) * ours.pixel_sizes[:, None] if PIXELS[0] in rows else rows[ANGST].astype(float)
    # RELION shifts the image as it is stored; a run's shifts are those of the image with its magnification corrected.
    matrix = magnification(before) if "rlnMagMat00" in before.get("optics", ()) else np.eye(2)
    np.testing.assert_allclose(origins, results.record.shifts @ matrix, atol=1e-5)
    for name, column in POSTERIOR_COLUMNS.items():
        np.testing.assert_allclose(rows[column].astype(float), results.record.arrays[name], atol=1e-6, rtol=1e-6)


def test_rows_that_the_run_left_out_are_left_out(star, make_run, tmp_path):
    out = tmp_path / "out.star"
    run = make_run(star, [10, 3, 7], half_sets=np.array([1, 2, 2], np.int8), entropy=np.array([0.1, 0.2, 3.0]))
    export_run(run, "relion", out)
    rows = texts(out)["particles"]
    assert rows["rlnNote"].tolist() == ["3 words", "7 words", "10 words"]
    assert rows["rlnRandomSubset"].tolist() == ["2", "2", "1"]
    export_run(run, "relion", out, Selection(expression="entropy < 1"))
    assert texts(out)["particles"]["rlnNote"].tolist() == ["3 words", "10 words"]
    export_run(run, "relion", out, Selection(expression="half_set == 2"))  # one half set alone is none
    assert "rlnRandomSubset" not in texts(out)["particles"]


def test_scale_and_belonging_are_written_if_the_run_estimated_them(star, make_run, tmp_path):
    out = tmp_path / "out.star"
    found = {"scale": np.array([0.5, 1.5, 1.0], np.float32), "belongs": np.array([0.02, 1.0, 0.6], np.float32)}
    export_run(make_run(star, [10, 3, 7], **found), "relion", out, Selection(expression="belongs >= 0.6"))
    rows = texts(out)["particles"]
    assert rows["rlnNote"].tolist() == ["3 words", "7 words"]
    np.testing.assert_allclose(rows[IMAGE_COLUMNS["scale"]].astype(float), [1.5, 1.0])
    np.testing.assert_allclose(rows[IMAGE_COLUMNS["belongs"]].astype(float), [1.0, 0.6], atol=1e-6)


def test_scale_and_belonging_are_not_made_up(star, make_run, tmp_path):
    export_run(make_run(star, range(12)), "relion", tmp_path / "out.star")
    assert not set(IMAGE_COLUMNS.values()) & set(texts(tmp_path / "out.star")["particles"])


def test_figures_of_another_refinement_are_not_kept(star, make_run, tmp_path):
    exported = export_run(make_run(star, range(12), finished=False), "relion", tmp_path / "out.star")
    assert not set(POSTERIOR_COLUMNS.values()) & set(texts(tmp_path / "out.star")["particles"])
    assert any("rlnMaxValueProbDistribution" in note and "not over" in note for note in exported.notes)
    assert any(with_flags(note).endswith("they can be computed (--statistics)") for note in exported.notes)


PRIORS = ["rlnAngleRotPrior", "rlnAngleTiltPrior", "rlnAnglePsiPrior", "rlnOriginXPriorAngst", "rlnOriginYPriorAngst"]
FLIPS = ["rlnAnglePsiFlip", "rlnAnglePsiFlipRatio"]


def with_columns(star: Path, **columns: object) -> Path:
    """The particles with further columns, or other values in old ones."""
    blocks = texts(star)
    starfile.write(blocks | {"particles": blocks["particles"].assign(**columns)}, star)
    return star


def test_priors_of_an_earlier_refinement_are_left_out(star, make_run, tmp_path):
    """RELION's local searches start at the priors where there are any, and not at the poses beside them."""
    stale = [*PRIORS, *FLIPS, "rlnNormCorrection"]
    run = make_run(with_columns(star, **dict.fromkeys(stale, "12.5"), rlnHelicalTubeID="3"), range(12))
    exported = export_run(run, "relion", tmp_path / "out.star")
    rows = texts(tmp_path / "out.star")["particles"]
    assert not set(stale) & set(rows)
    assert (rows["rlnHelicalTubeID"] == "3").all()
    np.testing.assert_allclose(poses(rows), open_results(run).record.rotations, atol=1e-6)
    note = next(note for note in exported.notes if note.startswith("left out, as they are about poses of an earlier"))
    assert all(name in note for name in stale)
    assert not any(name in note for name in POSTERIOR_COLUMNS.values())  # These are there, and are those of the run.


def test_class_numbers_of_an_earlier_job(star, make_run, tmp_path):
    """Several are left out, and it is said; one alone says nothing of poses, and stays."""
    before = texts(star)["particles"]["rlnClassNumber"]
    run = make_run(star, range(12))
    exported = export_run(run, "relion", tmp_path / "one.star")
    assert texts(tmp_path / "one.star")["particles"]["rlnClassNumber"].equals(before)
    assert not any("rlnClassNumber" in note for note in exported.notes)
    with_columns(star, rlnClassNumber=[str(k % 3) for k in range(12)])
    exported = export_run(run, "relion", tmp_path / "several.star")
    assert "rlnClassNumber" not in texts(tmp_path / "several.star")["particles"]
    assert any("rlnClassNumber" in note for note in exported.notes)


def test_bare_and_dark_particles(make_run, shared_data, tmp_path):
    """A .cs file becomes RELION 3.1; that its protein is dark is said."""
    source = shared_data / "stacks" / "empiar_10076_7.cs"
    exported = export_run(make_run(source, range(7)), "relion", tmp_path / "out.star")
    blocks = texts(tmp_path / "out.star")
    assert float(blocks["optics"]["rlnImagePixelSize"][0]) == pytest.approx(1.31, abs=1e-4)
    assert blocks["optics"]["rlnImageSize"][0] == "320"
    assert any("dark protein" in note and "--multiply_constant -1" in note for note in exported.notes)
    new, old = open_particles(tmp_path / "out.star"), open_particles(source)
    np.testing.assert_allclose(new.ctf.defocus_u, old.ctf.defocus_u, atol=1e-3)
    np.testing.assert_array_equal(new.read_images([2]), -old.read_images([2]))


def phantom(n: int, seed: int = 4) -> torch.Tensor:
    """Blobs without symmetry within three quarters of a box of 48 px, whatever the number of pixels."""
    centres = np.random.default_rng(seed).uniform(-11, 11, (14, 3))
    line = (np.arange(n) - n // 2) * 48 / n
    x, y, z = (np.exp(-((line - centres[:, axis, None]) ** 2) / (2 * 2.0**2)) for axis in range(3))
    return torch.from_numpy(np.einsum("bx,by,bz->zyx", x, y, z)).float()


@pytest.mark.parametrize("working_box", [48, 24])
def test_an_independent_projector_sees_the_same(working_box, make_run, tmp_path):
    """Of the STAR file written, torch-fourier-slice and scipy make the images that our model makes of the run's poses.

    The run may have worked in a smaller box: angles and origins in the file do not depend on it.
    """
    box, pixel_size = 48, 2.0
    path = tmp_path / "input" / "particles.star"
    path.parent.mkdir()
    rows = pd.DataFrame({"rlnImageName": [f"{k + 1}@a.mrcs" for k in range(10)], "rlnOpticsGroup": 1})
    optics = pd.DataFrame({"rlnOpticsGroup": [1], "rlnImagePixelSize": [pixel_size], "rlnImageSize": [box]})
    starfile.write({"optics": optics, "particles": rows}, path)
    settings = Settings(preparation=PreparationSettings(box=working_box))
    results = open_results(make_run(path, range(10), settings=settings))
    export_run(results, "relion", tmp_path / "out.star")

    density = phantom(box)
    working = fourier_crop_map(density, working_box)
    ours = Projections(working, pixel_size * box / working_box)(results.record.rotations, results.record.shifts).numpy()

    written = starfile.read(tmp_path / "out.star")["particles"]
    to_volume = torch.from_numpy(poses(written).transpose(0, 2, 1).copy()).float()
    theirs = project_3d_to_2d(density, to_volume, 3.0).numpy()
    for image, (x, y) in zip(theirs, written[ANGST].to_numpy() / pixel_size, strict=True):
        image[:] = np.fft.ifft2(fourier_shift(np.fft.fft2(image), (-y, -x))).real
    theirs = fourier_crop(torch.from_numpy(theirs), working_box).numpy()
    correlation = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(ours, theirs, strict=True)]
    assert min(correlation) >= 0.99
    unshifted = Projections(working, pixel_size * box / working_box)(
        results.record.rotations, 0 * results.record.shifts
    ).numpy()
    wrong = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(unshifted, theirs, strict=True)]
    assert np.median(wrong) < 0.95  # the test would see shifts that are lost


def test_the_other_hand(star, make_run, tmp_path):
    """Of the mirrored map, at the poses written, the same images."""
    results = open_results(make_run(star, range(12)))
    export_run(results, "relion", tmp_path / "out.star", options=ExportOptions(flip_hand=True))
    rows = texts(tmp_path / "out.star")["particles"]
    density = phantom(32)
    before, after = (
        project_3d_to_2d(torch.from_numpy(map.copy()), torch.from_numpy(turns.transpose(0, 2, 1).copy()).float(), 3.0)
        for map, turns in ((density.numpy(), results.record.rotations), (flip_hand(density.numpy()), poses(rows)))
    )
    for a, b in zip(before.numpy(), after.numpy(), strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    np.testing.assert_allclose(rows[ANGST].astype(float), results.record.shifts, atol=1e-6)


def test_run_of_inverted_images_says_so(star, make_run, tmp_path):
    settings = Settings(preparation=PreparationSettings(invert_contrast=True))
    exported = export_run(make_run(star, range(12), settings=settings), "relion", tmp_path / "out.star")
    assert any("dark protein" in note for note in exported.notes)


def test_ctf_columns_stay_though_the_run_used_others_and_it_is_said(star, make_run, tmp_path):
    star.write_text(star.read_text().replace("3.0 32 2", "1.5 64 2"))
    before, pickle = open_particles(star, require_stacks=False), tmp_path / "other ctf.pkl"
    other = dataclasses.replace(before.ctf, defocus_u=before.ctf.defocus_u + 500)
    write_ctf(pickle, other, 64, 1.5)
    exported = export_run(make_run(star, range(12), options={"ctf": pickle}), "relion", tmp_path / "out.star")
    assert any("CTF parameters are those of particles.star" in note and pickle.name in note for note in exported.notes)
    after = open_particles(tmp_path / "out.star", require_stacks=False)
    np.testing.assert_array_equal(after.ctf.defocus_u, before.ctf.defocus_u)
