"""One particle under a map: what is known of map and pose is found, and the engine's own numbers are met."""

import dataclasses
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
import torch

from napari_cryospin.engine.pose_posterior import log_likelihoods, make_templates, shift_grid
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.geometry.angles import rotation_from_euler
from napari_cryospin.geometry.so3_grid import direction_pixel, view_directions
from napari_cryospin.physics.slicing import shift_phases
from napari_cryospin.runs.epoch_record import EpochFile, EpochRecord
from napari_cryospin.settings import PRESETS, MachineSettings, PreparationSettings, ScheduleSettings, Settings
from napari_cryospin.views.posterior.answers import ZOOM_LINE
from napari_cryospin.views.posterior.direction_grid import COARSE_NSIDE, FINE_NSIDE, directions
from napari_cryospin.views.posterior.map_model import SPHERE_BAND
from napari_cryospin.views.posterior.particle_image import ParticleImage
from napari_cryospin.views.posterior.particle_view import ParticleView
from napari_cryospin.views.posterior.sphere import IN_PLANE_ANGLES
from napari_cryospin.views.posterior.turned_image import soft_edge
from napari_cryospin.views.sphere_pictures import CELLS_NSIDE as NSIDE
from support.records import epoch_record, particle_record

BOX, COUNT = 32, 6
SETTINGS = PRESETS["quick"]


@pytest.fixture(scope="module")
def simulated(make_phantom, simulate):
    return simulate(make_phantom(BOX, 4.0), count=COUNT, snr=0.2, shift_sd=4.0, seed=7)


@pytest.fixture(scope="module")
def view(simulated):
    return ParticleView(simulated.particles, SETTINGS)


def state_of(simulated, **changes) -> EpochRecord:
    """The true map, and the true poses."""
    known = simulated.particles
    poses = {"rotations": known.rotations.astype(np.float32), "shifts": known.shifts.astype(np.float32)}
    values = {
        "map": (simulated.density / simulated.noise_variance**0.5).numpy(),
        "pixel_size": 3.0,
        "band": 15,
        "noise": np.ones((1, BOX // 2), np.float32),
        "max_shift": 15.0,
        "particles": particle_record(len(known), **poses),
    }
    return epoch_record(**{**values, **changes})


def with_poses(state: EpochRecord, **arrays) -> EpochRecord:
    return dataclasses.replace(state, particles=dataclasses.replace(state.particles, **arrays))


@pytest.fixture(scope="module")
def state(simulated):
    return state_of(simulated)


def angle(a, b) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(a, b), -1, 1))))


def test_posterior_lies_where_the_truth_is(simulated, view, state):
    for particle in range(COUNT):
        true = simulated.particles.rotations[particle]
        found = view.posterior(particle, state)
        assert (found.nside, found.particle, found.record) == (8, particle, state)
        assert np.exp(found.log_posterior).sum() == pytest.approx(1, abs=1e-4)
        centres = view_directions(8).numpy()
        rot, tilt = centres[found.pixel]
        seen = np.array([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)])
        assert angle(seen, true[2]) < 8
        assert angle(found.rotation[2], true[2]) < 5
        assert 0 <= found.entropy < np.log(len(found.log_posterior))


def test_zoom_is_high_at_the_true_pose(simulated, view, state):
    for particle in range(COUNT):
        true = simulated.particles.rotations[particle]
        zoom = view.zoom(particle, state)
        assert zoom.log_posterior.shape == (len(ZOOM_LINE), len(ZOOM_LINE))
        assert np.exp(zoom.log_posterior).sum() == pytest.approx(1, abs=1e-4)
        u, v = np.abs(ZOOM_LINE - zoom.project(true[2])[:, None]).argmin(-1)
        assert zoom.log_posterior.max() - zoom.log_posterior[v, u] < 6  # nats: chance has one in 400 beyond
        assert angle(zoom.rotation[2], true[2]) < 5
        np.testing.assert_allclose(zoom.shift, simulated.particles.shifts[particle], atol=2)


def test_without_noise_the_zoom_points_at_the_truth(make_phantom, simulate):
    clean = simulate(make_phantom(BOX, 4.0), count=2, snr=50, seed=3, ctf=False)
    particles = ParticleView(clean.particles, SETTINGS)
    state = state_of(clean, map=(clean.density / clean.noise_variance**0.5).numpy(), max_shift=0.0)
    for particle, true in enumerate(clean.particles.rotations):
        for direction in (None, true[2]):
            zoom = particles.zoom(particle, state, direction)
            v, u = np.unravel_index(zoom.log_posterior.argmax(), zoom.log_posterior.shape)
            np.testing.assert_allclose((ZOOM_LINE[u], ZOOM_LINE[v]), zoom.project(true[2]), atol=0.76)


def test_zoom_may_look_elsewhere(view, state):
    away = rotation_from_euler([40.0, 70.0, 0.0])[2]
    zoom = view.zoom(0, state, away)
    np.testing.assert_allclose(zoom.centre, away, atol=1e-6)
    np.testing.assert_allclose(zoom.project(away), [0, 0], atol=1e-4)
    east, north = zoom.axes
    assert north[2] > 0  # up on the sphere
    np.testing.assert_allclose(np.cross(east, north), zoom.centre, atol=1e-6)
    five = np.tan(np.radians(5))
    np.testing.assert_allclose(zoom.project(away + five * east - 2 * five * north)[0], 5, atol=1e-4)
    assert np.isnan(zoom.project(-away)).all()


def test_zoom_and_sphere_are_one_posterior(simulated, view):
    """Two grids that share no point: the same share of each cell that lies within the zoom."""
    state = state_of(simulated, band=9, max_shift=0.0, noise=np.full((1, BOX // 2), 3, np.float32))
    state = with_poses(state, shifts=simulated.particles.shifts.astype(np.float32))
    found, zoom = view.posterior(0, state), view.zoom(0, state)
    u, v = np.meshgrid(*(np.tan(np.radians(ZOOM_LINE)),) * 2)
    seen = zoom.centre + u[..., None] * zoom.axes[0] + v[..., None] * zoom.axes[1]
    solid = np.linalg.norm(seen, axis=-1) ** -3.0
    rotations = np.zeros((*seen.shape[:2], 3, 3))
    rotations[..., 2, :] = seen / np.linalg.norm(seen, axis=-1, keepdims=True)
    pixel = direction_pixel(torch.from_numpy(rotations), NSIDE).numpy()
    inside = [p for p in np.unique(pixel) if (solid * (pixel == p)).sum() > 0.97 * np.mean(solid) * 214]
    assert len(inside) >= 3
    share = np.array([(np.exp(zoom.log_posterior) * solid)[pixel == p].sum() for p in inside])
    expected = np.exp(found.log_posterior[inside])
    assert found.entropy > 0.5
    np.testing.assert_allclose(share / share.sum(), expected / expected.sum(), atol=0.05)


@pytest.mark.parametrize("noise", [0.2, 1.0, 5.0])
def test_two_grids_are_as_good_as_the_fine_one_throughout(simulated, view, noise):
    state = state_of(simulated, noise=np.full((1, BOX // 2), noise, np.float32), band=12, max_shift=0.0)
    model, image = view.prepare(state), ParticleImage(view.images, 1, state)
    steps = 4 * IN_PLANE_ANGLES
    angles = (torch.arange(steps) + 0.5) * (2 * torch.pi / steps) - torch.pi / IN_PLANE_ANGLES
    parts = [
        image.compare(model.slices(part, 12), angles, 12, image.shifts_about(image.pose_shift, 12))
        .flatten(0, 1)
        .logsumexp(0)
        for part in directions(FINE_NSIDE).flatten(0, 1).split(4096)
    ]
    dense = torch.cat(parts).reshape(12 * NSIDE**2, (FINE_NSIDE // NSIDE) ** 2).logsumexp(-1).softmax(0).numpy()
    found = np.exp(view.posterior(1, state).log_posterior)
    assert abs(found - dense).sum() / 2 < 0.03


def test_directions_of_both_grids_are_kept_by_cell():
    for nside, shape in ((COARSE_NSIDE, (12 * NSIDE**2, 4)), (FINE_NSIDE, (12 * COARSE_NSIDE**2, 16))):
        rotations = directions(nside)
        assert rotations.shape == (*shape, 3, 3)
        cell = direction_pixel(rotations.flatten(0, 1), NSIDE).numpy()
        np.testing.assert_array_equal(cell, np.repeat(np.arange(12 * NSIDE**2), (nside // NSIDE) ** 2))
    coarse = direction_pixel(directions(FINE_NSIDE), COARSE_NSIDE)
    assert bool((coarse == direction_pixel(directions(COARSE_NSIDE).flatten(0, 1), COARSE_NSIDE)[:, None]).all())


def test_shifts_are_looked_for_about_the_pose_only_where_the_run_does(simulated, view, state):
    true = simulated.particles.shifts[2]
    near = with_poses(state, shifts=state.particles.shifts + np.float32([1.2, -1.2]))
    np.testing.assert_allclose(view.zoom(2, near).shift, true, atol=1.6)
    centred = dataclasses.replace(state, max_shift=0.0)
    np.testing.assert_array_equal(view.posterior(2, centred).shift, [0, 0])
    assert not np.allclose(view.posterior(2, centred).log_posterior, view.posterior(2, state).log_posterior)


def test_a_particle_is_looked_at_with_its_own_halfs_map(simulated, view, state):
    """Rows of the input in another order, noise of its own too."""
    noise = np.stack((np.ones(BOX // 2), np.full(BOX // 2, 2.0))).astype(np.float32)
    order = np.array([4, 1, 0, 2])
    chosen = dataclasses.replace(state.particles.select(order), half_sets=np.array([1, 1, 2, 2]))
    maps = (state.map[::-1].copy(), state.map)
    halves = dataclasses.replace(state, map=maps[0], half_maps=maps, noise=noise, particles=chosen)
    for half, particle in ((0, 1), (1, 2)):
        alone = dataclasses.replace(state, map=maps[half], noise=noise[half : half + 1])
        expected, found = (view.posterior(particle, s).log_posterior for s in (alone, halves))
        np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(ValueError, match="particle 4: the run does not use this row"):
        view.posterior(3, halves)


def test_candidates_beside_the_particle(simulated, view, state):
    particles = simulated.particles
    wrong = rotation_from_euler([10.0, 20.0, 30.0])
    shift = particles.shifts[3]
    found = view.compare(3, state, [wrong, particles.rotations[3]], [shift, shift])
    assert found.error[1] == pytest.approx(1, abs=0.15)  # what is left is noise
    assert found.error[0] > found.error[1]
    count = int((view.images.points.square().sum(-1) <= 15**2).sum())
    assert found.log_likelihood[1] == 0
    masked = float(view.images.mask.square().mean())
    assert found.log_likelihood[0] == pytest.approx(masked * count * (found.error[1] - found.error[0]), rel=1e-4)
    posterior = view.posterior(3, state)
    np.testing.assert_array_equal(
        found.pixel, direction_pixel(torch.tensor(np.array([wrong, particles.rotations[3]])), 8)
    )
    np.testing.assert_allclose(found.probability, np.exp(posterior.log_posterior[found.pixel]))
    np.testing.assert_allclose(found.angles[0], [10, 20, 30], atol=1e-3)
    assert found.particle.shape == (BOX, BOX)
    assert found.projections.shape == (2, BOX, BOX)
    alike = [np.corrcoef(found.particle.ravel(), picture.ravel())[0, 1] for picture in found.projections]
    assert alike[1] > max(0.3, alike[0])
    assert np.ptp(found.projections[1]) == pytest.approx(np.ptp(found.particle), rel=0.6)  # one grey scale


def test_nothing_is_read_but_the_particle(simulated):
    opened = []
    inner = simulated.particles.open_stack
    stack = simulated.images

    class Watched:
        def __getitem__(self, index):
            opened.append(np.atleast_1d(index))
            return stack[index]

    assert inner is not None
    particles = dataclasses.replace(simulated.particles, open_stack=lambda path: Watched())
    view = ParticleView(particles, SETTINGS)
    view.posterior(2, state_of(simulated))
    assert set(np.concatenate(opened)) == {2}


def test_threads_get_what_one_gets(simulated, view, state):
    other = dataclasses.replace(state, map=state.map * np.float32(0.5))
    asked = [(particle, which) for which in (state, other) for particle in range(4)] * 2
    expected = [view.posterior(*one).log_posterior for one in asked]
    fresh = ParticleView(simulated.particles, SETTINGS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: fresh.posterior(*one).log_posterior, asked))
    for first, second in zip(expected, found, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-4)


def test_a_call_that_nobody_waits_for_ends(simulated, state):
    cancelled = threading.Event()
    cancelled.set()
    view = ParticleView(simulated.particles, SETTINGS)
    for call in (view.posterior, view.zoom):
        with pytest.raises(CancelledError):
            call(0, state, cancelled=cancelled)
    cancelled.clear()
    assert view.posterior(0, state, cancelled).particle == 0


def test_a_map_of_another_box_is_refused(view, state):
    with pytest.raises(ValueError, match="box of 16 px; expected 32 px"):
        view.posterior(0, dataclasses.replace(state, map=np.zeros((16, 16, 16), np.float32)))


@pytest.mark.parametrize(("preset", "halves"), [("quick", False), ("quick", True), ("paper-cpu", True)])
def test_a_snapshot_tells_what_the_reconstruction_knows(make_phantom, simulate, preset, halves, tmp_path):
    """The same lattice (Wiener average, padding 2; the paper's lattice, padding 1), images and noise: the same numbers
    at the lattice's own in-plane angles; and an epoch's history tells the same, but for its half precision."""
    particles = simulate(make_phantom(BOX), count=60, snr=0.5, shift_sd=3.0, seed=1).particles
    reconstruction = Reconstruction(particles, small(preset, halves))
    while reconstruction.epoch < 3:
        reconstruction.advance()
    state = reconstruction.snapshot()
    reconstruction.history().save(tmp_path / "epoch.npz")
    earlier = EpochFile(tmp_path / "epoch.npz").record()
    view = ParticleView(particles, reconstruction.settings)
    assert len(state.maps) == 1 + halves
    band = min(state.band - 1, SPHERE_BAND)
    rotations = directions(COARSE_NSIDE)[::9, 0]
    for fit, first in zip(reconstruction.fits, (0, len(reconstruction.fits[0])), strict=False):
        particle = int(state.particles.rows[first + 5])
        model, image = view.prepare(state, state.map_of(first + 5)), ParticleImage(view.images, particle, state)
        batch = fit.batch(torch.tensor([5]), band)
        torch.testing.assert_close(image.coefficients[: len(batch.points)], batch.images[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(image.weights(len(batch.points)), batch.weights[0])
        torch.testing.assert_close(image.pose_shift, fit.particles.shifts[5])
        found = image.compare(
            model.slices(rotations, band), torch.zeros(1), band, image.shifts_about(image.pose_shift, band)
        )
        expected = engines_own(fit, batch, rotations, band, image)
        assert float((found[0] - expected).abs().max()) < 2e-3 * float(np.ptp(expected))
        a, b = (view.posterior(particle, one).log_posterior for one in (state, earlier))
        assert abs(np.exp(a) - np.exp(b)).sum() / 2 < 0.02


def small(preset: str, halves: bool) -> Settings:
    settings = PRESETS[preset]
    schedule = {**vars(settings.schedule), "epochs": 6, "decoding_epochs": None, "switch": "by-hand", "batch_size": 15}
    return dataclasses.replace(
        settings,
        encoder=dataclasses.replace(settings.encoder, heads=2, shifts=True, encoder_batch=15),
        schedule=ScheduleSettings(**schedule),
        volume=dataclasses.replace(settings.volume, growth_steps=10, encoding_band=11),
        preparation=PreparationSettings(half_sets=halves),
        machine=MachineSettings(device="cpu"),
    )


def engines_own(fit, batch, rotations, band, image):
    """`(t, k)` log-likelihoods from the engine's own volume and batch, the band's edge as soft as the view has it."""
    with torch.no_grad():
        templates = make_templates(fit.volume.hartley(band), rotations, batch.points, fit.projector.padding)
        step = fit.images.extent / (4 * band)
        phases = shift_phases(fit.particles.shifts[5] + shift_grid(1.5 * step, step), batch.points, fit.images.extent)
        weights = batch.weights * soft_edge(batch.points, band)
        return log_likelihoods(templates, batch.images, batch.ctf, weights, phases)[0]
