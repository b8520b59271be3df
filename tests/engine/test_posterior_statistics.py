"""Figures of the posterior, against the same figures of projections compared one by one."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from napari_cryospin.driving.results import write_results
from napari_cryospin.driving.run import prepare
from napari_cryospin.engine import posterior_statistics as module
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.losses import image_errors
from napari_cryospin.engine.posterior_statistics import posterior_statistics, significant_samples
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.sampling import grid_size, pose_grid, trial_shifts
from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.exporters.statistics import with_statistics
from napari_cryospin.io.star.particles import write_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS, Settings
from support.stacks import write_stack
from support.volumes import put_map

COUNT, BOX = 12, 16


def settings(shifts: bool) -> Settings:
    preset = PRESETS["paper-cpu"]
    return dataclasses.replace(
        preset,
        encoder=dataclasses.replace(preset.encoder, heads=2, shifts=shifts),
        schedule=dataclasses.replace(preset.schedule, epochs=1, switch="by-hand", batch_size=6),
        machine=dataclasses.replace(preset.machine, device="cpu"),
    )


@pytest.mark.parametrize("shifts", [False, True])
def test_against_projections_compared_one_by_one(shifts, make_phantom, simulate, monkeypatch):
    monkeypatch.setattr(module, "STATISTICS_BATCH", 5)
    simulated = simulate(make_phantom(BOX), count=COUNT, snr=0.1, shift_sd=3.0 * shifts, seed=6)
    particles, choice = simulated.particles, settings(shifts)
    fit = Fit(PreparedImages(particles, choice.preparation, torch.arange(COUNT)), choice, torch.Generator())
    put_map(fit.volume, simulated.density / simulated.noise_variance**0.5 / BOX)
    fit.particles.record_poses(
        torch.arange(COUNT), *(torch.from_numpy(v).float() for v in (particles.rotations, particles.shifts))
    )
    fit.band.now = 7
    found = posterior_statistics([fit])

    grid, trial = pose_grid(*grid_size(7)), trial_shifts(fit, 7)[0] if shifts else torch.zeros(1, 2)
    for row in (0, 11):
        batch = fit.batch(torch.tensor([row]))
        values = []
        for move in trial:
            stored = fit.particles.shifts[row] + move
            with torch.no_grad():
                models = fit.project(batch, grid[None], stored.expand(1, len(grid), 2))
            values.append(-image_errors(models.cdouble(), batch.images.cdouble(), batch.weights.double())[0])
        values = torch.stack(values)  # (t, k)
        probability = values.flatten().softmax(0).sort(descending=True).values
        by_rotation = values.logsumexp(0).softmax(0)
        constant = float((batch.weights.double() / math.pi).log().sum())
        expected = {
            "entropy": -float((by_rotation * by_rotation.log()).sum()),
            "max_probability": float(probability[0]),
            "log_likelihood": float(values.flatten().logsumexp(0)) - math.log(values.numel()) + constant,
        }
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, rel=2e-3, abs=2e-3), name
        enough = int((probability.cumsum(0) < 0.999).sum()) + 1
        assert found["significant_samples"][row] == pytest.approx(enough, rel=0.02, abs=1)
    assert np.median(found["significant_samples"]) > 10  # at this noise posteriors are broad: the figures say something


def test_significant_samples():
    probability = torch.full((3, 8192), 0.0)
    probability[0, 4000] = 1.0
    probability[1, :4] = torch.tensor([0.25, 0.5, 0.2485, 0.0015])
    probability[2] = 1 / 8192
    assert significant_samples(probability).tolist() == [1, 4, 8184]


def test_a_run_keeps_them_at_its_end_and_an_export_makes_them_up_for_before(make_phantom, simulate, tmp_path):
    """Written to results/ once the run is over; of one that is not, made from its checkpoint: the same."""
    simulated = simulate(make_phantom(BOX), count=COUNT, snr=1.0, seed=2)
    write_stack(tmp_path / "images.mrcs", simulated.images, 6.0)
    particles = dataclasses.replace(simulated.particles, stacks=(tmp_path / "images.mrcs",))
    write_particles(tmp_path / "particles.star", particles, particles.rotations, particles.shifts)
    choice = dataclasses.replace(
        settings(True), preparation=dataclasses.replace(settings(True).preparation, half_sets=True)
    )
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=tmp_path / "particles.star"), choice)
    opened, reconstruction, _ = prepare(folder)
    assert reconstruction.results().particles.max_probability is None
    while not reconstruction.finished:
        reconstruction.advance()
    with folder.writing_checkpoint(1) as part:
        torch.save({"reconstruction": reconstruction.state_dict()}, part)
    folder.write_history(reconstruction.history())
    live = with_statistics(open_results(folder), lambda share, text: None)
    write_results(folder.path / "results", reconstruction.results(), opened)
    final = open_results(folder)
    assert live.live
    assert not final.live
    known, found = final.record.arrays, live.record.arrays
    assert known["rows"].tolist() == list(range(COUNT))
    for name in ("entropy", "max_probability", "significant_samples", "log_likelihood", "half_sets", "best_head"):
        np.testing.assert_allclose(found[name], known[name], rtol=1e-4, err_msg=name)
    assert ((known["max_probability"] > 0) & (known["max_probability"] <= 1)).all()
    order = np.argsort(reconstruction.indices)
    first = reconstruction.half_sets[order] == 1
    np.testing.assert_allclose(known["rotations"][first], reconstruction_poses(reconstruction)[order][first], atol=1e-6)


def reconstruction_poses(reconstruction: Reconstruction) -> np.ndarray:
    return torch.cat([fit.particles.rotations for fit in reconstruction.fits]).numpy()
