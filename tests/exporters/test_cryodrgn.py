"""Pickles for cryoDRGN: against what its own parser makes of the same file."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from napari_cryospin.exporters.selection import Selection
from napari_cryospin.exporters.table import export_run
from napari_cryospin.io.open import open_particles
from napari_cryospin.settings import PreparationSettings, Settings


def unpickle(path):
    return pickle.loads(path.read_bytes())


def test_as_an_independent_parser_reads_the_file(shared_data, make_run, tmp_path):
    """The file's own poses, taken for a run's, and its CTF: cryoDRGN's arrays of it."""
    source = shared_data / "files" / "cryosparc_P12_J24_001_particles.cs"
    expected = np.load(source.with_name("cryosparc_P12_J24_001_expected.npz"))
    particles = open_particles(source, require_stacks=False)
    run = make_run(source, range(len(particles)), rotations=particles.rotations, shifts=particles.shifts)
    out = tmp_path / "out"
    export_run(run, "cryodrgn", out)
    rotations, fractions = unpickle(out / "poses.pkl")
    np.testing.assert_allclose(rotations, expected["rot"], atol=1e-6)
    np.testing.assert_allclose(fractions, expected["trans"], atol=1e-6)
    ctf = unpickle(out / "ctf.pkl")
    assert ctf.dtype == rotations.dtype == fractions.dtype == np.float32
    np.testing.assert_allclose(ctf, expected["ctf"], atol=1e-4)
    np.testing.assert_array_equal(unpickle(out / "ind.pkl"), np.arange(len(particles)))


def test_rows_without_a_pose_cannot_be_used_by_mistake(shared_data, make_run, tmp_path):
    source = shared_data / "files" / "cryosparc_P12_J24_001_particles.cs"
    run = make_run(source, [9, 2, 5], best_head=np.array([1, 1, 0], np.int16))
    exported = export_run(run, "cryodrgn", tmp_path / "out", Selection(expression="head == 2"))
    rotations, fractions = unpickle(tmp_path / "out" / "poses.pkl")
    rows = unpickle(tmp_path / "out" / "ind.pkl")
    np.testing.assert_array_equal(rows, [2, 9])
    assert len(rotations) == len(unpickle(tmp_path / "out" / "ctf.pkl")) == 2019
    assert np.isfinite(rotations[rows]).all()
    assert np.isnan(np.delete(rotations, rows, axis=0)).all()
    assert np.isnan(np.delete(fractions, rows, axis=0)).all()
    assert any("--ind ind.pkl" in note for note in exported.notes)


def test_round_trip_through_a_bare_stack(shared_data, make_run, tmp_path):
    """What is written can be read beside the stack, by us."""
    source = shared_data / "stacks" / "empiar_10076_7.star"
    run = make_run(source, range(7))
    export_run(run, "cryodrgn", tmp_path / "out")
    stack = shared_data / "stacks" / "empiar_10076_7.mrc"
    again = open_particles(stack, ctf=tmp_path / "out" / "ctf.pkl", poses=tmp_path / "out" / "poses.pkl")
    with np.load(run.path / "results" / "particles.npz") as file:
        np.testing.assert_allclose(again.rotations, file["rotations"], atol=1e-6)
        np.testing.assert_allclose(again.shifts, file["shifts"], atol=1e-4)
    np.testing.assert_allclose(again.ctf.defocus_u, open_particles(source).ctf.defocus_u, rtol=1e-6)


def test_mixed_images_are_refused(star, make_run, tmp_path):
    with pytest.raises(ValueError, match="cryoDRGN expects one box and pixel size"):
        export_run(make_run(star, range(12)), "cryodrgn", tmp_path / "out")


@pytest.mark.parametrize(("inverted", "expected"), [(False, True), (True, False)])
def test_dark_images_need_a_flag_of_cryodrgn(inverted, expected, shared_data, make_run, tmp_path):
    """The file says that its images show dark protein; the run may have been told the opposite."""
    settings = Settings(preparation=PreparationSettings(invert_contrast=inverted))
    run = make_run(shared_data / "stacks" / "empiar_10076_7.cs", range(7), settings=settings)
    command = export_run(run, "cryodrgn", tmp_path / "out").notes[-1]
    assert ("--uninvert-data" in command) == expected
    assert "--ctf ctf.pkl" in command
