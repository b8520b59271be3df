"""A run that is given a symmetry begins without it, takes it once its map shows it, and else tries new starts."""

import copy
import dataclasses
import functools

import pytest
import torch

from engine.test_symmetry import settings_with
from napari_cryospin.engine import sought_symmetry, symmetry_steps
from napari_cryospin.engine.commands import Commands
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.sampling import COARSE_GRID_BAND, PoseSearch, grid_size
from napari_cryospin.engine.sought_symmetry import MOST_STARTS, SoughtSymmetry, held_out_errors, sought_group
from napari_cryospin.evaluation.pose_error import rotation_errors
from napari_cryospin.geometry.symmetry import point_group
from napari_cryospin.runs.messages import RefusedError
from napari_cryospin.settings import PRESETS
from support.same_state import assert_same
from support.simulated import symmetric_phantom


@pytest.fixture(scope="module")
def stack(simulate):
    """Particles of a molecule with the symmetry D3, off centre."""
    return simulate(symmetric_phantom(32, "D3", blobs=3), count=300, snr=1.0, shift_sd=3.0)


@pytest.fixture(scope="module")
def few(simulate, make_phantom):
    """Few particles of a molecule without symmetry."""
    return simulate(make_phantom(32), count=60, snr=1.0)


def changed(settings, group: str, **fields):
    return dataclasses.replace(settings, **{group: dataclasses.replace(getattr(settings, group), **fields)})


def hurried(particles, **schedule) -> Reconstruction:
    """A run that asks for a symmetry which its particles do not have, and whose starts last for two epochs."""
    return Reconstruction(particles, settings_with("O", **{"epochs": 8, "switch": 2} | schedule))


def to_epoch(run: Reconstruction, last: int) -> None:
    while run.epoch < last:
        run.advance()


def test_where_a_symmetry_is_looked_for():
    quick = changed(PRESETS["quick"], "volume", symmetry="I")
    assert sought_group(quick) == "I2"
    assert sought_group(PRESETS["quick"]) == ""
    assert sought_group(changed(quick, "volume", symmetry_later=False)) == ""
    assert sought_group(changed(quick, "start", reference="map.mrc")) == ""
    assert sought_group(changed(quick, "posterior", posterior_sample=False)) == ""
    assert sought_group(changed(PRESETS["known-poses"], "volume", symmetry="I")) == ""


def test_the_symmetry_is_taken_when_the_map_shows_it(stack):
    run = Reconstruction(stack.particles, settings_with("D3"))
    assert run.symmetry.trivial
    while not run.symmetry_due:
        run.advance()
        assert run.switched_at is None
    assert run.looks_like.startswith("D3 is looked for (0.")
    assert run.switch_due is None
    assert run.switch_advice().reason == f"not yet: {run.looks_like}"
    change = run.take_symmetry()
    assert (change.before, change.after, run.symmetry.name) == ("C1", "D3", "D3")
    assert change.score >= 0.7
    assert not run.symmetry_due
    assert run.looks_like == ""
    to_epoch(run, run.epoch + 3)
    assert run.progress_made.begun_at == 0
    assert run.notes == run.preparation_notes
    errors = rotation_errors(
        run.fits[0].particles.rotations.numpy(), stack.particles.rotations[run.indices], symmetry="D3"
    )
    assert errors.median < 15  # poses are drawn from a grid of 15 degrees


def test_a_run_that_is_told_to_begins_with_the_symmetry(stack):
    run = Reconstruction(stack.particles, changed(settings_with("D3"), "volume", symmetry_later=False))
    assert run.symmetry.name == "D3"
    assert not run.progress_made.sought.group


def test_a_map_that_does_not_show_it_in_time_is_given_up(few, monkeypatch):
    monkeypatch.setattr(sought_symmetry, "CLEARLY_WORSE", torch.inf)
    run = hurried(few.particles)
    to_epoch(run, 2)
    assert run.symmetry_due
    assert not run.finished
    free = run.fits[0].volume.to_map().clone()
    expected = held_out_errors(run.fits, run.fits[0].band.now)
    change = run.take_symmetry()
    torch.testing.assert_close(run.progress_made.sought.free_errors, expected)
    assert "the map that began without it did not show it" in change.text
    assert (run.symmetry.name, run.epoch, run.epochs) == ("O", 2, 10)
    assert bool(run.fits[0].particles.error.isnan().all())
    assert not torch.allclose(run.fits[0].volume.to_map(), free)
    to_epoch(run, 4)
    assert run.symmetry_due  # this start is as good as the free one
    assert run.take_symmetry() is None
    assert run.switch_due == "after 2 epochs"
    run.advance()
    assert run.switched_at == 4


def test_the_best_of_the_starts_goes_on(few, monkeypatch):
    monkeypatch.setattr(sought_symmetry, "CLEARLY_WORSE", -torch.inf)
    seen = []
    monkeypatch.setattr(symmetry_steps, "held_out_errors", lambda *a: seen.append(held_out_errors(*a)) or seen[-1])
    run, told = hurried(few.particles), []
    while run.switched_at is None:
        run.advance()
        if run.symmetry_due:
            told.append(run.take_symmetry().text)
    assert len(told) == 1 + MOST_STARTS
    assert all("imposed by a new start" in text for text in told[:-1])
    assert told[-1].startswith(f"O imposed by the best of {MOST_STARTS} starts, although images fitted the map")
    means = [float(errors.mean()) for errors in seen]
    text = f"by {min(means[1:]) - means[0]:.1f} nats each: it may not have this symmetry"
    assert told[-1].endswith(text)
    assert run.verdict().kind == "not determined"
    assert any(f"by {min(means[1:]) - means[0]:.1f} nats each" in reason for reason in run.verdict().reasons)
    assert (run.progress_made.begun_at, run.switched_at) == (2 * MOST_STARTS, 2 + 2 * MOST_STARTS)


def test_the_best_start_is_loaded(few, monkeypatch):
    monkeypatch.setattr(sought_symmetry, "CLEARLY_WORSE", -torch.inf)
    run, means = hurried(few.particles), []
    while len(means) < 1 + MOST_STARTS:
        run.advance()
        if run.symmetry_due:
            band = run.progress_made.sought.band or run.fits[0].band.now
            means.append(float(held_out_errors(run.fits, band).mean()))
            run.take_symmetry()
    assert float(held_out_errors(run.fits, band).mean()) == pytest.approx(min(means[1:]), rel=1e-5)


def test_half_sets_begin_anew_together(few, monkeypatch):
    monkeypatch.setattr(sought_symmetry, "CLEARLY_WORSE", torch.inf)
    run = Reconstruction(few.particles, changed(settings_with("O", epochs=8, switch=2), "preparation", half_sets=True))
    while run.switched_at is None:
        run.advance()
    assert run.switched_at == 4
    assert [fit.symmetry.name for fit in run.fits] == ["O", "O"]
    assert not run.progress_made.sought.group


def test_a_symmetric_start_that_is_accepted_switches_at_once(few, monkeypatch):
    monkeypatch.setattr(sought_symmetry, "CLEARLY_WORSE", torch.inf)
    run = hurried(few.particles)
    to_epoch(run, 2)
    run.advance()  # The map did not show it: a start with the symmetry begins.
    with pytest.raises(RefusedError, match="the symmetry of the map is not judged yet: start 1"):
        run.switch_to_auto_decoding("by a test")
    to_epoch(run, 4)
    assert run.switch_advice().reason.startswith("not yet: start 1")
    assert run.take_symmetry() is None
    assert not run.switch_advice().reason.startswith("not yet: start")
    assert run.switch_due is not None


def test_a_new_start_forgets_what_was_measured_of_the_map_before(few, monkeypatch):
    monkeypatch.setattr(sought_symmetry, "CLEARLY_WORSE", torch.inf)
    run = Reconstruction(few.particles, changed(settings_with("O", epochs=8, switch=2), "preparation", half_sets=True))
    to_epoch(run, 2)
    run.compare_halves()
    run.progress_made.resolution = 20.0
    assert run.evidence().halves_agree is not None
    run.take_symmetry()
    assert run.symmetry.name == "O"
    assert run.evidence().halves_agree is None
    assert torch.tensor(run.measured_resolution).isnan()


@pytest.mark.parametrize("stopped_at", [1, 3, 5])
def test_a_resumed_run_is_the_same_as_an_uninterrupted_one(few, stopped_at):
    @functools.cache
    def whole():
        run = hurried(few.particles)
        to_epoch(run, 9)
        return run.state_dict()

    first = hurried(few.particles)
    to_epoch(first, stopped_at)
    resumed = hurried(few.particles)
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    to_epoch(resumed, 9)
    assert_same(resumed.state_dict(), whole())


def test_commands_while_a_symmetry_is_looked_for(stack):
    run = Reconstruction(stack.particles, settings_with("O", switch="by-hand"))
    to_epoch(run, 1)
    with pytest.raises(RefusedError, match="the map has no symmetry yet: O is looked for"):
        run.switch_to_auto_decoding("by hand")
    assert run.results().notes[-1].startswith("the map has no symmetry yet, and its poses neither: O is looked for")
    change = Commands(run).change_symmetry("C1")
    assert change.text == "O is not looked for any more"
    assert not run.progress_made.sought.group
    assert run.notes == run.preparation_notes
    to_epoch(run, 2)
    assert not run.symmetry_due
    run.switch_to_auto_decoding("by hand")


def test_starts_are_compared_image_by_image():
    """What the images differ among themselves does not count, only what they differ between the maps."""
    images = 50 * torch.randn(400, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(400, generator=torch.Generator().manual_seed(1))
    sought = SoughtSymmetry("C3", free_errors=images)
    assert sought.lag(images + noise + 0.5) == (pytest.approx(0.5, abs=0.1), True)
    assert not sought.lag(images + noise)[1]
    assert not sought.lag(images + noise - 0.5)[1]


def test_the_coarse_grid_of_a_symmetric_map_is_finer(stack):
    run = Reconstruction(stack.particles, changed(settings_with("D3"), "volume", symmetry_later=False))
    fit = run.fits[0]
    rotations = PoseSearch(fit, band=COARSE_GRID_BAND).fine.rotations
    assert len(rotations) == pytest.approx(4608 / 6, rel=0.1)
    assert grid_size(COARSE_GRID_BAND) == (2, 12)
    assert grid_size(COARSE_GRID_BAND, point_group("C2")) == grid_size(9) == (4, 24)
