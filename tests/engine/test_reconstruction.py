"""The engine from end to end, small: it improves, repeats itself, resumes as if never stopped, keeps halves apart."""

import dataclasses
import io

import numpy as np
import pytest
import torch

from napari_cryospin.engine import class_decoding, phases
from napari_cryospin.engine import reconstruction as reconstruction_module
from napari_cryospin.engine.devices import choose_device
from napari_cryospin.engine.outcome import make_results
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.switching import SwitchAdvice
from napari_cryospin.particles import Particles
from napari_cryospin.runs.messages import RefusedError
from napari_cryospin.settings import PRESETS, Settings
from support.same_state import assert_same

COUNT, BATCH = 80, 20


@pytest.fixture(scope="module")
def particles(make_phantom, simulate) -> Particles:
    return simulate(make_phantom(16), count=COUNT, snr=2.0, shift_sd=3.0, seed=4).particles


def tiny(preset: str, **preparation) -> Settings:
    """A preset, with fewer heads and epochs, and batches of 20 or fewer."""
    settings = PRESETS[preset]
    return dataclasses.replace(
        settings,
        encoder=dataclasses.replace(settings.encoder, heads=3, trunk="small", shifts=True, encoder_batch=12),
        schedule=dataclasses.replace(
            settings.schedule, epochs=6, decoding_epochs=None, switch="by-hand", batch_size=BATCH
        ),
        preparation=dataclasses.replace(settings.preparation, **preparation),
        volume=dataclasses.replace(settings.volume, growth_steps=60, volume_learning_rate=0.05),
        machine=dataclasses.replace(settings.machine, device="cpu"),
    )


def step(reconstruction: Reconstruction, switch_after: int | None = None) -> float:
    """One step, and the switch when so many epochs are closed: loss."""
    loss = reconstruction.advance()["loss"]
    if reconstruction.epoch_ended and reconstruction.epoch == switch_after:
        reconstruction.switch_to_auto_decoding("by hand")
    return loss


def run(reconstruction: Reconstruction, epochs: int, switch_after: int | None = None) -> list[float]:
    """Steps until so many epochs are closed in all: losses."""
    losses = []
    while reconstruction.epoch < epochs:
        losses.append(step(reconstruction, switch_after))
    return losses


def stored(reconstruction: Reconstruction) -> bytes:
    """A checkpoint, as it is written to disk."""
    file = io.BytesIO()
    torch.save(reconstruction.state_dict(), file)
    return file.getvalue()


def loaded(checkpoint: bytes) -> dict:
    return torch.load(io.BytesIO(checkpoint), weights_only=True)


@torch.no_grad()
def unexplained(reconstruction: Reconstruction) -> float:
    """Mean squared error of all images at their stored poses, to shell 4, in units of the background's variance."""
    fit = reconstruction.fits[0]
    batch = fit.batch(torch.arange(len(fit)), 4)
    model = fit.project(batch, *fit.poses(batch))
    weights = fit.noise.background_weights(batch.where, len(batch.points))
    return float(((batch.images - model).abs().square() * weights).mean())


def test_poses_are_refined_at_the_full_band_before_a_run_ends(particles, monkeypatch):
    monkeypatch.setattr(phases, "STILL_TURN", 180.0)  # degrees: only the band lets it go on
    settings = tiny("quick")
    schedule = dataclasses.replace(settings.schedule, epochs=40)
    volume = dataclasses.replace(settings.volume, first_band=4, encoding_band=4)
    posterior = dataclasses.replace(settings.posterior, mates=False)
    settings = dataclasses.replace(settings, schedule=schedule, volume=volume, posterior=posterior)
    reconstruction = Reconstruction(particles, settings)
    bands = []
    while not reconstruction.finished:
        metrics = reconstruction.advance()
        bands.append(metrics["band"])
        if reconstruction.epoch_ended and reconstruction.epoch == 1:
            reconstruction.switch_to_auto_decoding("by hand")
    full = reconstruction.fits[0].band.full
    assert bands[0] == 4
    assert bands[-1] == full == 7
    assert bands.count(full) == COUNT // BATCH  # one epoch


@pytest.mark.parametrize("preset", ["quick", "paper-cpu"])
def test_a_tiny_run_improves_and_ends(preset, particles):
    reconstruction = Reconstruction(particles, tiny(preset))
    assert (reconstruction.stage, reconstruction.step, reconstruction.finished) == ("auto-encoding", 0, False)
    seen = [unexplained(reconstruction)]
    step(reconstruction)
    assert 0 < reconstruction.progress < 0.1
    run(reconstruction, 4, switch_after=4)
    assert reconstruction.stage == "auto-decoding"
    assert (reconstruction.epoch, reconstruction.epochs) == (4, 6)
    seen.append(unexplained(reconstruction))
    run(reconstruction, 6)
    assert reconstruction.finished
    assert reconstruction.progress == 1
    seen.append(unexplained(reconstruction))
    assert seen[1] < 0.95 * seen[0]
    assert seen[2] < 0.9 * seen[0]
    metrics = reconstruction.epoch_metrics()
    assert set(metrics) >= {"loss", "pose_change", "resolution", "head_share_0", "head_share_2", "sample_share"}
    results = reconstruction.results()
    assert results.map.shape == (16, 16, 16)
    assert np.isfinite(results.map).all()
    assert results.particles.rotations.shape == (COUNT, 3, 3)
    np.testing.assert_allclose(np.linalg.det(results.particles.rotations), 1, atol=1e-4)
    assert np.isfinite(results.particles.shifts).all()
    snapshot, history = reconstruction.snapshot(), reconstruction.history()
    assert snapshot.stage == "auto-decoding"
    assert snapshot.head_share.sum() - snapshot.head_share[-1] == pytest.approx(1)
    assert history.particles.candidates.shape == (COUNT, 3, 3, 3)
    np.testing.assert_array_equal(history.particles.head_share(3), snapshot.head_share)


@pytest.fixture
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize("preset", ["quick", "paper-cpu"])
def test_the_same_seed_gives_the_same_bits(preset, threads, particles):
    states = []
    for torch_seed in (1, 2):
        torch.manual_seed(torch_seed)  # not torch's own generator: all draws come from the run's
        reconstruction = Reconstruction(particles, tiny(preset))
        run(reconstruction, 3, switch_after=2)
        states.append(loaded(stored(reconstruction)))
    assert_same(*states)
    machine = dataclasses.replace(tiny(preset).machine, seed=7)
    other = Reconstruction(particles, dataclasses.replace(tiny(preset), machine=machine))
    run(other, 3, switch_after=2)
    assert not torch.equal(other.fits[0].particles.rotations, states[0]["fits"][0]["particles"]["rotations"])


@pytest.mark.parametrize("half_sets", [False, True])
@pytest.mark.parametrize("preset", ["quick", "paper-cpu"])
@pytest.mark.parametrize("stage", ["auto-encoding", "auto-decoding"])
def test_a_resumed_run_goes_on_as_if_never_stopped(preset, stage, half_sets, particles):
    """Stopped in the middle of an epoch; a checkpoint that was loaded is not written to either."""
    settings = tiny(preset, half_sets=half_sets)
    switch, before = (1, 2) if stage == "auto-decoding" else (None, 1)
    whole = Reconstruction(particles, settings)
    run(whole, before, switch)
    step(whole)
    checkpoint, steps = stored(whole), whole.step
    assert whole.stage == stage
    assert whole.progress_made.queue
    losses = [*run(whole, before + 2), step(whole)]
    resumed = Reconstruction(particles, settings)
    state = loaded(checkpoint)
    resumed.load_state_dict(state)
    assert (resumed.stage, resumed.step, resumed.epoch) == (stage, steps, before)
    assert [*run(resumed, before + 2), step(resumed)] == losses
    assert_same(loaded(stored(resumed)), loaded(stored(whole)))
    assert resumed.epoch_metrics() == pytest.approx(whole.epoch_metrics(), nan_ok=True, rel=0, abs=0)
    assert_same({"fits": state["fits"]}, {"fits": loaded(checkpoint)["fits"]})


@pytest.mark.parametrize("preset", ["quick", "paper-cpu"])
def test_half_sets_share_nothing(preset, particles):
    """The first half's run does not notice when the images of the second become another's."""
    halves = np.where(np.arange(COUNT) % 2, 2, 1).astype(np.int8)
    named = dataclasses.replace(particles, half_sets=halves)
    images = particles.read_images(np.arange(COUNT)).copy()
    images[halves == 2] = images[halves == 2][::-1, ::-1] + np.random.default_rng(0).normal(size=images[1::2].shape)
    changed = dataclasses.replace(named, open_stack=lambda path: images)
    states = []
    for chosen in (named, changed):
        reconstruction = Reconstruction(chosen, tiny(preset, half_sets=True))
        run(reconstruction, 3, switch_after=2)
        assert reconstruction.stage == "auto-decoding"
        states.append(loaded(stored(reconstruction)))
    assert_same(states[0]["fits"][0], states[1]["fits"][0])
    assert_same(states[0]["stages"][0], states[1]["stages"][0])
    assert not torch.equal(
        states[0]["fits"][1]["particles"]["rotations"], states[1]["fits"][1]["particles"]["rotations"]
    )
    assert reconstruction.half_sets.tolist() == [1] * 40 + [2] * 40
    assert np.array_equal(halves[reconstruction.indices], reconstruction.half_sets)
    results = reconstruction.results()
    assert len(results.half_maps) == 2
    assert results.fsc is not None
    assert not np.array_equal(*results.half_maps)


def test_the_switch_is_refused_before_the_first_epoch_and_twice(particles):
    reconstruction = Reconstruction(particles, tiny("paper-cpu"))
    with pytest.raises(RefusedError, match="first epoch"):
        reconstruction.switch_to_auto_decoding("by hand")
    run(reconstruction, 1)
    reconstruction.switch_to_auto_decoding("by hand")
    state = stored(reconstruction)
    with pytest.raises(RefusedError, match="switched already, after epoch 1"):
        reconstruction.switch_to_auto_decoding("by hand")
    assert_same(loaded(stored(reconstruction)), loaded(state))
    amortised = Reconstruction(particles, dataclasses.replace(tiny("paper-cpu"), method="fully-amortized"))
    run(amortised, 1)
    with pytest.raises(RefusedError, match="fully-amortized has no second stage"):
        amortised.switch_to_auto_decoding("by hand")
    assert amortised.switch_advice() == SwitchAdvice(False, "")


def test_in_the_middle_of_an_epoch_the_switch_opens_a_new_one(particles):
    reconstruction = Reconstruction(particles, tiny("quick"))
    run(reconstruction, 1)
    step(reconstruction)
    reconstruction.switch_to_auto_decoding("by hand")
    assert not reconstruction.progress_made.queue
    steps = reconstruction.step
    run(reconstruction, 2)
    assert reconstruction.step - steps == COUNT // BATCH  # all particles once more


@pytest.mark.parametrize(
    ("epochs", "decoding", "kept"), [(40, 16, 16), (10, 16, 5), (2, 16, 1), (1, 16, 1), (20, None, 1)]
)
def test_an_automatic_switch_keeps_epochs_for_decoding(epochs, decoding, kept, particles):
    settings = tiny("quick")
    schedule = dataclasses.replace(settings.schedule, epochs=epochs, decoding_epochs=decoding, switch="automatic")
    reconstruction = Reconstruction(particles, dataclasses.replace(settings, schedule=schedule))
    reconstruction.progress_made.epoch = max(1, epochs - kept) - 1
    run(reconstruction, reconstruction.epoch + 1)
    assert reconstruction.switch_advice() == SwitchAdvice(True, "ready: the epochs planned for the encoder are over")
    reconstruction.switch_to_auto_decoding("automatic")
    assert reconstruction.epochs == (max(2, epochs) if decoding else epochs)


@pytest.mark.parametrize("half_sets", [False, True])
def test_results_leave_out_what_was_not_looked_at(half_sets, particles):
    reconstruction = Reconstruction(particles, tiny("quick", half_sets=half_sets))
    step(reconstruction)
    looked_at = torch.cat([fit.particles.winner for fit in reconstruction.fits]).numpy() >= 0
    results = make_results(reconstruction)
    found = results.particles
    assert 0 < len(found) < COUNT
    np.testing.assert_array_equal(found.rows, reconstruction.indices[looked_at])
    assert {"best_head", "error", "entropy", "precision"} < set(found.arrays)
    assert {len(values) for values in found.arrays.values()} == {len(found)}
    assert f"{COUNT - len(found)} of {COUNT} particles were not looked at yet" in results.notes[0]


def test_a_range_of_no_shifts_is_none(particles):
    settings = tiny("quick")
    settings = dataclasses.replace(settings, encoder=dataclasses.replace(settings.encoder, max_shift=0.0))
    assert Reconstruction(particles, settings).fits[0].shift_range.looked_for is False


def test_without_a_cache_the_run_is_the_same(particles):
    maps = []
    for cache in (4.0, 0.0):
        reconstruction = Reconstruction(particles, tiny("quick", cache=cache))
        step(reconstruction)
        step(reconstruction)
        maps.append(reconstruction.fits[0].volume.to_map())
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-3, atol=1e-3 * float(maps[0].abs().max()))


def test_the_search_alone_needs_no_encoder(particles):
    reconstruction = Reconstruction(particles, dataclasses.replace(tiny("quick"), method="search"))
    assert reconstruction.fits[0].encoder is None
    losses = run(reconstruction, 3, switch_after=2)
    assert np.isfinite(losses).all()
    assert reconstruction.stage == "auto-decoding"
    assert reconstruction.snapshot().head_share.tolist() == [1.0]  # no heads: every pose came from the grid


def test_a_subset(particles):
    reconstruction = Reconstruction(particles, tiny("paper-cpu", subset=20))
    assert len(reconstruction.indices) == len(reconstruction.fits[0]) == 20
    run(reconstruction, 1)
    assert reconstruction.step == 1


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="found here: cpu"):
        choose_device("cuda:99")
    with pytest.raises(ValueError, match="abacus"):
        choose_device("abacus")


def test_the_band_waits_until_the_map_has_relaxed(particles, monkeypatch):
    """And until then, the map is extrapolated."""
    settings = tiny("quick")
    settings = dataclasses.replace(settings, volume=dataclasses.replace(settings.volume, encoding_band=4))
    monkeypatch.setattr(phases, "MOST_SETTLING_EPOCHS", 4)
    poses = {}
    for relaxed, momentum in ((180.0, 0.4), (0.0, 0.4), (0.0, 0.0)):
        monkeypatch.setattr(phases, "RELAXED_TURN", relaxed)
        monkeypatch.setattr(class_decoding, "MAP_MOMENTUM", momentum)
        reconstruction, bands = Reconstruction(particles, settings), []
        for epoch in range(1, 6):
            run(reconstruction, epoch, switch_after=1)
            if epoch > 1:
                bands.append(reconstruction.stages[0].state.standing.next_band)
        assert bands == ([4, 6, 7, 7] if relaxed else [4, 4, 4, 6])
        poses[relaxed, momentum] = reconstruction.fits[0].particles.rotations
    assert not torch.equal(poses[0.0, 0.4], poses[0.0, 0.0])


def with_switch(settings: Settings, switch: int | str) -> Settings:
    return dataclasses.replace(settings, schedule=dataclasses.replace(settings.schedule, switch=switch))


@pytest.mark.parametrize("switch", [2, "automatic", "by-hand"])
def test_a_reconstruction_switches_by_itself_as_the_settings_ask(switch, particles):
    reconstruction = Reconstruction(particles, with_switch(tiny("paper-cpu"), switch))
    run(reconstruction, 2)
    reconstruction.progress_made.advice = SwitchAdvice(True, "ready: all is well")
    reason = {2: "after 2 epochs", "automatic": "automatic: ready: all is well"}.get(switch)
    assert reconstruction.switch_due == reason
    assert reconstruction.stage == "auto-encoding"  # at the end of an epoch, its candidates can still be looked at
    reconstruction.advance()
    assert reconstruction.switched_at == (None if switch == "by-hand" else 2)
    assert reconstruction.switch_due is None
    waits = SwitchAdvice(True, "ready: all is well")
    assert reconstruction.switch_advice() == (waits if switch == "by-hand" else SwitchAdvice())


def test_a_switch_that_is_due_survives_a_checkpoint(particles):
    settings = with_switch(tiny("paper-cpu"), 1)
    whole, resumed = Reconstruction(particles, settings), Reconstruction(particles, settings)
    run(whole, 1)
    resumed.load_state_dict(loaded(stored(whole)))
    assert resumed.switch_due == "after 1 epochs"
    assert [step(resumed) for _ in range(3)] == [step(whole) for _ in range(3)]
    assert resumed.switched_at == whole.switched_at == 1


def test_no_switch_is_due_where_the_run_ends_or_in_the_middle_of_an_epoch(particles):
    settings = tiny("paper-cpu")
    reconstruction = Reconstruction(particles, with_switch(settings, settings.schedule.epochs - 1))
    reconstruction.progress_made.epoch = settings.schedule.epochs - 2
    step(reconstruction)
    assert reconstruction.switch_due is None
    run(reconstruction, settings.schedule.epochs - 1)
    assert reconstruction.switch_due is not None
    reconstruction.progress_made.epoch += 1
    assert reconstruction.finished
    assert reconstruction.switch_due is None


@pytest.mark.parametrize(("planned", "after"), [(2, 2), (None, 3)])
def test_the_switch_can_be_made_when_the_planned_epochs_are_over(planned, after, particles):
    settings = with_switch(tiny("paper-cpu"), "by-hand")
    settings = dataclasses.replace(settings, schedule=dataclasses.replace(settings.schedule, decoding_epochs=planned))
    reconstruction = Reconstruction(particles, settings)
    assert not reconstruction.waits_for_switch
    reconstruction.progress_made.epoch = settings.schedule.epochs
    assert reconstruction.waits_for_switch
    reconstruction.switch_to_auto_decoding("by hand")
    assert not reconstruction.waits_for_switch
    assert not reconstruction.finished
    run(reconstruction, settings.schedule.epochs + after)
    assert reconstruction.finished
    assert not reconstruction.waits_for_switch


def test_only_a_switch_by_hand_is_waited_for(particles):
    reconstruction = Reconstruction(particles, with_switch(tiny("paper-cpu"), 2))
    reconstruction.progress_made.epoch = reconstruction.epochs
    assert reconstruction.finished
    assert not reconstruction.waits_for_switch


def test_an_error_leaves_nothing_interruptible(particles, monkeypatch):
    """Neither in the end of an epoch, nor in the switch, nor in the results."""
    reconstruction = Reconstruction(particles, tiny("paper-cpu"))
    (images,) = (fit.images for fit in reconstruction.fits)
    seen = []

    def fails(*arguments):
        seen.append(images.interruptible)
        raise RuntimeError("no memory")

    monkeypatch.setattr(reconstruction_module, "advise_all", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        run(reconstruction, 1)
    monkeypatch.setattr(reconstruction_module, "choose_poses", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        reconstruction.switch_to_auto_decoding("by hand")
    monkeypatch.setattr(reconstruction_module, "make_results", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        reconstruction.results()
    assert seen == [True, True, True]
    assert not images.interruptible
