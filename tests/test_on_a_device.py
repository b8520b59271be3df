"""Runs on a pretend device: nothing mixes devices, the answer is that of the CPU, and the host seldom waits.

The device computes with the CPU's own functions, all random numbers are drawn on the CPU, and these runs are so small
that no batch is split (the only thing that the engine does otherwise on a CPU): results are equal bit for bit.
"""

import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import napari_cryospin
from napari_cryospin.driving.run import drive_run
from napari_cryospin.engine.devices import choose_device, choose_devices
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS, Settings
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from napari_cryospin.views.posterior.particle_view import ParticleView
from support.pretend_device import counted
from support.records import epoch_record, particle_record
from support.same_state import assert_same
from support.simulated import Simulated

COUNT, BATCH = 24, 6

RUNS = {
    "quick": ("quick", "cryospin", {}),
    "quick, fully amortized": ("quick", "fully-amortized", {}),
    "quick, search alone": ("quick", "search", {}),
    "quick, em": ("quick", "em", {}),
    "quick, half sets": ("quick", "cryospin", {"half_sets": True}),
    "quick, classes": ("quick", "cryospin", {}),
    "paper": ("paper-cpu", "cryospin", {}),
    "paper, fully amortized": ("paper-cpu", "fully-amortized", {}),
    "paper, images not kept": ("paper-cpu", "cryospin", {"cache": 0.0}),
    "paper, half sets": ("paper-cpu", "cryospin", {"half_sets": True}),
}
"""Preset (and so the volume: Wiener average or Adam), method, preparation."""


@pytest.fixture(scope="module")
def simulated(make_phantom, simulate) -> Simulated:
    return simulate(make_phantom(16), count=COUNT, snr=2.0, shift_sd=3.0, seed=4)


@pytest.fixture(scope="module")
def particles(simulated) -> Particles:
    return simulated.particles


def tiny(run: str, device: str, *, switch: int = 2, epochs: int = 3) -> Settings:
    """A few epochs of a run; both stages where the method has two."""
    preset, method, preparation = RUNS[run]
    settings, replace = PRESETS[preset], dataclasses.replace
    return replace(
        settings,
        method=method,
        encoder=replace(settings.encoder, heads=3, trunk="small", encoder_box=16, shifts=True, encoder_batch=BATCH),
        schedule=replace(settings.schedule, epochs=epochs, decoding_epochs=None, batch_size=BATCH, switch=switch),
        preparation=replace(settings.preparation, **preparation),
        volume=replace(settings.volume, growth_steps=4, classes=2 if "classes" in run else 1),
        machine=replace(settings.machine, device=device, threads=1, checkpoint_every=0.0, snapshot_every=0.0),
    )


def run(reconstruction: Reconstruction) -> dict[str, Any]:
    """Run to the end: all that is shown on the way, and the state at the end."""
    settings, shown = reconstruction.settings, []
    while not reconstruction.finished:
        reconstruction.advance()
        if reconstruction.epoch_ended:
            shown.append((reconstruction.snapshot(), reconstruction.history(), reconstruction.epoch_metrics()))
            if reconstruction.policy is not None and reconstruction.epoch == settings.schedule.switch:
                reconstruction.switch_to_auto_decoding("planned")
    return {"shown": shown, "state": reconstruction.state_dict()}


def test_any_device_that_torch_knows_is_chosen(pretend_device):
    assert choose_device(pretend_device) == torch.device(pretend_device)
    assert choose_devices("pretend:0,pretend:1", 2) == [torch.device("pretend:0"), torch.device("pretend:1")]
    with pytest.raises(ValueError, match="'pretend:7' cannot be used; found here: cpu"):
        choose_device("pretend:7")
    with pytest.raises(ValueError, match="'meta' cannot be used"):
        choose_device("meta")


@pytest.mark.parametrize("name", RUNS)
def test_a_run_on_a_device_is_that_on_the_cpu(name, pretend_device, particles):
    devices = "pretend:0,pretend:1" if "half sets" in name else pretend_device
    reconstruction = Reconstruction(particles, tiny(name, devices))
    found = run(reconstruction)
    for fit, device in zip(reconstruction.fits, devices.split(","), strict=True):
        assert fit.particles.rotations.device == fit.volume.to_map().device == torch.device(device)
    both_stages = reconstruction.policy is not None
    assert [snapshot.stage == "auto-decoding" for snapshot, _, _ in found["shown"]][-1] == both_stages
    on_cpu = Reconstruction(particles, tiny(name, "cpu"))
    assert_same(found, run(on_cpu))
    results = reconstruction.results()
    if "half sets" in name:  # to lay the halves on each other takes seconds, and no device
        assert np.isfinite(results.half_maps).all()
    else:
        assert_same(results, on_cpu.results())


@pytest.mark.parametrize("name", ["quick", "quick, classes", "paper"])
@pytest.mark.parametrize("stage", ["auto-encoding", "auto-decoding"])
def test_a_run_goes_on_from_a_checkpoint_on_another_device(name, stage, pretend_device, particles, tmp_path):
    """From the device to the CPU and back to the device, each time in the middle of an epoch."""
    settings = tiny(name, "cpu", switch=1 if stage == "auto-decoding" else 3, epochs=4)
    whole, places = Reconstruction(particles, settings), (pretend_device, "cpu", "pretend:1")
    expected = run(whole)["state"]
    state = None
    for device, epoch in zip(places, (1, 2, None), strict=True):
        machine = dataclasses.replace(settings.machine, device=device)
        reconstruction = Reconstruction(particles, dataclasses.replace(settings, machine=machine))
        if state is not None:
            reconstruction.load_state_dict(state)
        while not reconstruction.finished:
            reconstruction.advance()
            if reconstruction.epoch_ended and reconstruction.epoch == settings.schedule.switch:
                reconstruction.switch_to_auto_decoding("planned")
            if reconstruction.epoch == epoch and reconstruction.progress_made.queue:
                break
        torch.save(reconstruction.state_dict(), tmp_path / "checkpoint.pt")
        state = torch.load(tmp_path / "checkpoint.pt", map_location="cpu", weights_only=True)
    assert reconstruction.stage == "auto-decoding"
    assert_same(state, expected)


def test_a_run_folder_is_driven_on_a_device(pretend_device, tmp_path):
    """The loop with its checkpoints, snapshots, history, results, and the state that is kept for an end in a hurry."""
    sample = Path(napari_cryospin.__file__).parent / "data" / "spliceosome_64.mrc"
    source = RunInput(particles=write_simulation(sample, tmp_path, SimulationSettings(count=COUNT, box=16)).particles)
    folders = []
    for device in (pretend_device, "cpu"):
        folders.append(RunFolder.create(tmp_path / device.replace(":", "_"), source, tiny("quick", device)))
        drive_run(folders[-1], hurry=threading.Event())
    assert folders[0].read_status().device == pretend_device
    assert [event.kind for event in folders[0].read_events()][-1] == "finished"
    for name in ("map.mrc", "particles.star"):
        found, expected = ((folder.path / "results" / name).read_bytes() for folder in folders)
        assert found[1024:] == expected[1024:]  # behind the header of a map, which tells the time
    snapshots = [folder.newest_snapshot() for folder in folders]
    assert_same(*snapshots)


def test_the_posterior_of_a_particle_on_a_device_is_that_on_the_cpu(pretend_device, simulated):
    count = len(simulated.particles)
    poses = {"rotations": simulated.particles.rotations, "shifts": simulated.particles.shifts}
    record = epoch_record(
        map=(simulated.density / simulated.noise_variance**0.5).numpy(),
        pixel_size=6.0,
        band=7,
        noise=np.ones((1, 8)),
        max_shift=15.0,
        particles=particle_record(count, **poses),
    )
    answers = []
    for device in (pretend_device, "cpu"):
        view = ParticleView(simulated.particles, PRESETS["quick"], device=device)
        posterior = view.posterior(3, record)
        candidates = view.compare(3, record, posterior.rotation[None], posterior.shift[None])
        zooms = view.zoom(3, record), view.zoom(3, record, direction=(0.0, 0.6, 0.8))
        known = posterior.log_posterior, posterior.rotation, posterior.shift
        answers.append([*known, vars(candidates), *map(vars, zooms)])
    assert_same(*answers)


WAITS_PER_STEP = {
    # Auto-encoding: candidates 1, winners 1, errors 1, column kx = 0 of the encoder's images 1.
    ("paper", "auto-encoding"): 4,
    # Beside these: entropies 3, which shifts to look about 1, heads that learn 1, particles of each fold 2.
    ("quick", "auto-encoding"): 11,
    # Errors 1, mean turn 1.
    ("paper", "auto-decoding"): 2,
    # Errors 1, mean turn 1, each fold 2; each of 3 pose steps: which became better 1 and, but for the last, the
    # check of the solution 1 and which go on 1.
    ("quick", "auto-decoding"): 11,
}
"""How often the host waits for the device in a training step on one batch: at most so often, and on a real GPU each
time some 10 to 100 microseconds without work for it."""


@pytest.mark.parametrize(("name", "stage"), WAITS_PER_STEP)
def test_a_step_seldom_waits_for_the_device(name, stage, pretend_device, particles):
    settings = tiny(name, pretend_device, switch=1 if stage == "auto-decoding" else 3, epochs=4)
    reconstruction = Reconstruction(particles, settings)
    most = WAITS_PER_STEP[name, stage]
    steps = 0
    while reconstruction.epoch < 3:
        with counted() as traffic:
            reconstruction.advance()
        if reconstruction.stage == stage and not reconstruction.epoch_ended:
            steps += 1
            assert traffic.waits.total() <= most, traffic.report()
        if reconstruction.epoch_ended and reconstruction.epoch == settings.schedule.switch:
            reconstruction.switch_to_auto_decoding("planned")
    assert steps >= 4
