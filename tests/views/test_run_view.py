"""What can be asked of a run: one that is over, one that goes on, one that version 0.1 wrote."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from napari_cryospin.cli import main
from napari_cryospin.driving.run import drive_run
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS
from napari_cryospin.views.run_view import RunView
from support.version_0_1 import VERSION_0_1, without_results

TRUTH = VERSION_0_1 / "particles_truth.star"


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "halves"])
def finished(request, tmp_path_factory) -> RunFolder:
    """A run of today on the particles of the old ones, which has ended; nobody writes to it."""
    quick = PRESETS["quick"]
    settings = dataclasses.replace(
        quick,
        encoder=dataclasses.replace(quick.encoder, heads=2, encoder_box=16, encoder_batch=15),
        volume=dataclasses.replace(quick.volume, first_band=3, encoding_band=5, growth_steps=4),
        schedule=dataclasses.replace(quick.schedule, epochs=4, decoding_epochs=2, switch=2, batch_size=15),
        preparation=dataclasses.replace(quick.preparation, half_sets=request.param),
        machine=dataclasses.replace(quick.machine, device="cpu", snapshot_every=0.0),
    )
    place = tmp_path_factory.mktemp("finished") / "run"
    folder = RunFolder.create(place, RunInput(particles=VERSION_0_1 / "particles.star"), settings)
    drive_run(folder)
    return folder


def test_a_finished_run_answers_everything(finished, tmp_path):
    view = RunView(finished.path, TRUTH)
    halves = finished.settings.preparation.half_sets
    assert view.status.state == "finished"
    assert view.epochs[-1] == 4
    assert len(view.maps()) == len(view.record().maps) == 1 + halves
    assert len(view.particles()) == 30
    shares = view.head_shares()
    assert shares.shape == (3,)
    np.testing.assert_allclose(shares[:2].sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(view.head_shares(4), shares, rtol=1e-6)
    heads = view.heads()
    assert (heads.epoch, heads.half, heads.note, len(heads.values)) == (4, int(halves), "", 2)
    seen = view.orientations()
    assert seen.counts.sum() == len(seen.rows) == (15 if halves else 30)
    np.testing.assert_array_equal(view.orientations(4).counts, seen.counts)
    assert view.summary().name == "run"
    assert view.summary().rows[0].name == "Resolution"
    assert len(view.readiness().conditions) == 3
    curves = view.curves("step")
    assert {"loss", "entropy", "head_share_0", "sample_share", "pose_change"} <= set(curves)
    assert (np.diff(curves["loss"].x) >= 0).all()
    assert bool(view.fsc().curves) == halves
    path = view.pose_path(3)
    assert path.epochs.tolist() == list(view.epochs)
    pose = view.particles(4)
    np.testing.assert_allclose(path.directions[-1], pose.rotations[pose.position(3), 2], atol=1e-6)
    assert view.gallery([1, 4]).raw.shape == (2, 16, 16)
    np.testing.assert_array_equal(np.sort(view.belonging(4).worst()), np.sort(view.particles(4).rows))
    assert view.belonging().share == pytest.approx(view.results.particles.belongs.mean(), abs=1e-6)
    assert view.scales().values.mean() == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match="has not done so yet"):
        view.belonging(2)  # before the switch
    names = set(view.figures())
    assert names >= {"convergence", "orientations"}
    assert {written.stem for written in view.save_figures(tmp_path)} == names


def test_results_are_read_as_they_were_written(finished):
    results = RunView(finished).results
    density, pixel_size = read_map(finished.results_path / "map.mrc")
    np.testing.assert_array_equal(results.map, density)
    assert (results.pixel_size, results.epoch, results.stage) == (pixel_size, 4, "auto-decoding")
    assert len(results.half_maps) == 2 * finished.settings.preparation.half_sets
    poses = open_particles(finished.results_path / "particles.star")
    np.testing.assert_allclose(results.particles.rotations, poses.rotations, atol=1e-5)
    np.testing.assert_allclose(results.particles.shifts, poses.shifts, atol=1e-4)
    assert results.particles.max_probability is not None
    assert np.isnan(results.resolution) or results.resolution > 0


def test_posterior_is_saved_and_drawn(finished, tmp_path):
    view = RunView(finished)
    found = view.posterior(5)
    assert (found.particle, found.epoch, found.stage, found.frozen) == (5, 4, "auto-decoding", True)
    assert found.candidates.shape == (2, 3, 3)
    assert found.candidate_epoch == 2
    assert [one.kind for one in found.detail.shown] == ["head", "head", "best", "pose"]
    with np.load(found.save(tmp_path / "posterior.npz")) as file:
        np.testing.assert_array_equal(file["log_posterior"], found.directions.log_posterior)
        assert np.exp(file["log_posterior"]).sum() == pytest.approx(1, abs=1e-3)
        np.testing.assert_array_equal(file["candidates"], found.candidates)
        assert file["projections"].shape == (4, 16, 16)
    assert "particle 6" in found.plot().axes[0].get_title()
    quick = view.posterior(5, detail=False)
    assert quick.detail is None
    np.testing.assert_array_equal(quick.directions.log_posterior, found.directions.log_posterior)
    earlier = view.posterior(5, epoch=2)
    assert (earlier.epoch, earlier.stage, earlier.step) == (2, "auto-encoding", None)
    with pytest.raises(ValueError, match="particle 31: the run does not use this row"):
        view.posterior(30)
    with pytest.raises(ValueError, match="epoch 77: the run kept no history of it"):
        view.posterior(5, epoch=77)


def test_map_of_an_epoch_a_half_and_the_other_hand(finished, tmp_path):
    view = RunView(finished)
    record = view.record(4)
    halves = len(record.half_maps)
    np.testing.assert_array_equal(view.maps(4)[0].density, record.map)
    first = view.map(4, half=1) if halves else view.map(4)
    np.testing.assert_array_equal(first.density, record.map)
    flipped = view.map(4, half=1, flipped=True) if halves else view.map(4, flipped=True)
    np.testing.assert_array_equal(np.roll(flipped.density[::-1, ::-1, ::-1], 1, (0, 1, 2)), record.map)
    density, pixel_size = read_map(first.save(tmp_path / "map.mrc"))
    np.testing.assert_array_equal(density, record.map)
    assert pixel_size == pytest.approx(record.pixel_size)
    if not halves:
        with pytest.raises(ValueError, match="half 2 of 0 half maps; expected"):
            view.map(half=2)


def test_a_run_that_goes_on_is_looked_at_by_its_snapshot(old_run):
    """Nothing but a snapshot: neither results nor an epoch that has ended."""
    folder = without_results(old_run("run"))
    for path in folder.history_paths().values():
        path.unlink()
    view = RunView(folder)
    assert view.epochs == ()
    found = view.posterior(2)
    assert found.step == 32
    assert len(found.candidates) == 0
    assert found.entropies is None
    assert view.orientations().counts.sum() == 30
    assert view.head_shares().shape == (3,)
    assert view.map().density.shape == (16, 16, 16)
    assert view.pose_path(2).epochs.size == 0
    assert set(view.figures()) == {"convergence"}
    with pytest.raises(ValueError, match="no epoch of this run has ended yet"):
        view.heads()
    with pytest.raises(FileNotFoundError, match=r"particles\.npz: no such file"):
        _ = view.results
    (folder.path / "snapshots" / "000000032.npz").unlink()
    with pytest.raises(ValueError, match="no map in this run yet"):
        view.posterior(2)


@pytest.mark.parametrize("name", ["run", "halves"])
def test_a_run_of_version_0_1_answers_everything(old_run, name):
    folder = old_run(name)
    view = RunView(folder, folder.path.parent / "particles_truth.star")
    halves = name == "halves"
    found = view.posterior(5)
    assert (found.epoch, found.candidates.shape) == (8, (2, 3, 3))
    assert found.candidate_epoch == (8 if halves else 4)  # of the half sets no earlier epoch is kept
    assert len(view.maps(8)) == 1 + halves
    assert len(view.heads().values) == 2
    assert view.orientations(8).counts.sum() == (15 if halves else 30)
    assert len(view.results.half_maps) == 2 * halves
    assert bool(view.fsc().curves) == halves
    assert len(view.results.particles) == 30
    assert "convergence" in view.figures()


def test_candidates_of_other_rows_or_that_are_no_rotations_are_not_shown(old_run):
    """From the command line as in the window: history and snapshot must be of the same particles."""
    folder = old_run("run")
    epoch = folder.history(8).record()
    mirrored = epoch.particles.candidates.copy()
    mirrored[4, 0] *= -1
    mirrored[6, 1, 0, 0] = np.nan
    wrong = dataclasses.replace(epoch.particles, candidates=mirrored)
    folder.write_history(dataclasses.replace(epoch, particles=wrong))
    view = RunView(folder)
    assert [len(view.posterior(row, detail=False).candidates) for row in (4, 5, 6)] == [0, 2, 0]
    others = dataclasses.replace(epoch.particles, rows=np.arange(30)[::-1])
    folder.write_history(dataclasses.replace(epoch, particles=others))
    assert len(RunView(folder).posterior(5, detail=False).candidates) == 0


def test_a_truth_that_is_wrong_is_an_error_or_a_note(old_run, tmp_path):
    """An error where it was asked for; a note in the window, which shows all else."""
    folder = old_run("run")
    nowhere = RunView(folder, tmp_path / "nowhere.star")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        nowhere.posterior(3)
    found = nowhere.posteriors.with_detail(nowhere.posterior(3, detail=False))
    assert "nowhere" in found.detail.truth_note
    assert found.detail.truth is None


def test_the_command_line_writes_what_python_saves(old_run, tmp_path):
    folder = old_run("run")
    assert main(["posterior", str(folder.path), "--particle", "8", "--out", str(tmp_path / "cli")]) == 0
    RunView(folder).posterior(7).save(tmp_path / "python.npz")
    with np.load(tmp_path / "cli.npz") as first, np.load(tmp_path / "python.npz") as second:
        assert set(first.files) == set(second.files)
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_a_view_is_made_without_torch_qt_or_matplotlib():
    code = (
        "import sys\n"
        "from napari_cryospin.views.run_view import RunView\n"
        "found = [name for name in ('torch', 'qtpy', 'napari', 'matplotlib', 'healpy') if name in sys.modules]\n"
        "sys.exit(', '.join(found) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
