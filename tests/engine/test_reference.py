"""A run that starts from a map: its frame, its hand, its scale, and what it refuses."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_cryospin.driving.reference import reference_in_box
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.reference import signal_scale
from napari_cryospin.evaluation.map_alignment import apply_alignment
from napari_cryospin.physics.fourier import map_to_hartley
from napari_cryospin.settings import PRESETS, Settings
from support.same_state import assert_same
from support.simulated import EXTENT, Simulated, in_memory, symmetric_phantom

BOX, COUNT, RESOLUTION = 24, 240, 24.0  # pixels, particles, Angstrom: four shells


@pytest.fixture(scope="module")
def simulated(make_phantom, simulate) -> Simulated:
    return simulate(make_phantom(BOX), count=COUNT, snr=0.5, shift_sd=2.0, seed=8)


def from_map(preset: str = "quick", **groups) -> Settings:
    """Settings of a short run that starts from a map, whose name is of no importance here."""
    settings = PRESETS[preset]
    changes = {
        "start": {"reference": "map.mrc", "reference_resolution": RESOLUTION},
        "encoder": {"heads": 2, "trunk": "small", "encoder_batch": 60, "encoder_box": 16, "shifts": True},
        "posterior": {"posterior_sample": True},
        "schedule": {"epochs": 8, "decoding_epochs": None, "switch": 3, "batch_size": 60},
        "machine": {"device": "cpu"},
    }
    changes = {name: changes.get(name, {}) | groups.get(name, {}) for name in changes | groups}
    return dataclasses.replace(
        settings, **{name: dataclasses.replace(getattr(settings, name), **values) for name, values in changes.items()}
    )


def in_box(density, particles, settings: Settings, pixel_size: float = EXTENT / BOX) -> torch.Tensor:
    """A map as the reference of a run."""
    return torch.from_numpy(reference_in_box(np.asarray(density, np.float32), pixel_size, particles, settings)[0])


def started(simulated: Simulated, settings: Settings) -> Reconstruction:
    reference = in_box(simulated.density, simulated.particles, settings)
    return Reconstruction(simulated.particles, settings, references=[reference])


def run(reconstruction: Reconstruction, epochs: int) -> None:
    while reconstruction.epoch < epochs and not reconstruction.finished:
        reconstruction.advance()


def turns(reconstruction: Reconstruction, simulated: Simulated) -> np.ndarray:
    """Angles between the poses and the truth, degrees, as they are: nothing is aligned."""
    found = reconstruction.fits[0].particles.rotations.double().numpy()
    true = simulated.particles.rotations[reconstruction.indices]
    cosine = (np.einsum("nij,nij->n", found, true) - 1) / 2
    return np.degrees(np.arccos(cosine.clip(-1, 1)))


def padded(density, box: int) -> np.ndarray:
    """A map in a larger box, about the same centre, in a solvent that is not 0."""
    made = np.full((box,) * 3, 0.7, np.float32)
    low = box // 2 - len(density) // 2
    made[(slice(low, low + len(density)),) * 3] += np.asarray(density)
    return made


@pytest.mark.parametrize(("finer", "box"), [(24, 24), (24, 37), (40, 40), (40, 64)])
def test_a_map_of_another_box_and_pixel_size_is_the_same_reference(finer, box, simulated, make_phantom):
    settings = from_map()
    expected = in_box(simulated.density, simulated.particles, settings)
    found = in_box(padded(make_phantom(finer), box), simulated.particles, settings, EXTENT / finer)
    assert found.shape == expected.shape
    assert float((found - expected).norm() / expected.norm()) < 0.02


def test_a_reference_has_no_more_than_its_resolution(simulated):
    made = in_box(simulated.density, simulated.particles, from_map())
    shell = torch.fft.fftfreq(BOX, 1 / BOX)
    radius = (shell[:, None, None] ** 2 + shell[:, None] ** 2 + shell**2).sqrt()
    power = torch.fft.fftn(made).abs().square()
    assert float(power[radius > EXTENT / RESOLUTION + 2].sum() / power[radius > 0].sum()) < 1e-3


def test_poses_are_right_in_the_frame_and_hand_of_the_reference(simulated, make_phantom):
    settings = from_map()
    reference = in_box(padded(make_phantom(40), 64), simulated.particles, settings, EXTENT / 40)
    reconstruction = Reconstruction(simulated.particles, settings, references=[reference])
    run(reconstruction, 1)
    assert np.median(turns(reconstruction, simulated)) < 20  # drawn from a grid of 30 degrees
    run(reconstruction, 8)
    off = turns(reconstruction, simulated)
    assert np.median(off) < 6
    assert (off < 15).mean() > 0.9
    shifts = reconstruction.fits[0].particles.shifts.numpy() - simulated.particles.shifts[reconstruction.indices]
    assert np.abs(shifts.mean(0)).max() < 1.5  # Angstrom; a pixel has 4


@pytest.mark.parametrize("preset", ["quick", "paper-cpu"])
def test_the_scale_of_the_map_is_that_of_the_images(preset, simulated):
    settings = from_map(preset)
    images = PreparedImages(simulated.particles, settings.preparation, torch.arange(COUNT))
    fit = Fit(images, settings, torch.Generator())
    fit.volume.take_map(simulated.density)
    expected = 1 / (simulated.noise_variance**0.5 * BOX)  # noise of unit variance, transforms divided by the box
    assert signal_scale(fit) == pytest.approx(expected, rel=0.15)
    fit.volume.take_map(1000 * simulated.density)
    assert signal_scale(fit) == pytest.approx(expected / 1000, rel=0.15)


def test_a_volume_of_mantissa_and_exponent_becomes_the_map(simulated):
    fit = started(simulated, from_map("paper-cpu", volume={"first_band": None})).fits[0]
    reference = in_box(simulated.density, simulated.particles, fit.settings)
    found, expected = fit.volume.hartley().detach(), map_to_hartley(reference)
    inner = map_to_hartley(reference).abs() > 0.01 * expected.abs().max()
    factor = found[inner] / expected[inner]
    assert bool((fit.volume.exponent == 0).all())
    assert float(factor.std() / factor.mean()) < 1e-3


def test_gradients_start_from_the_reference(simulated):
    reconstruction = started(simulated, from_map("paper-cpu"))
    run(reconstruction, 2)
    assert np.median(turns(reconstruction, simulated)) < 25


@pytest.mark.parametrize("dark", ["map", "images"])
def test_the_negative_of_a_map_is_refused(dark, simulated):
    settings = from_map(preparation={"invert_contrast": dark == "images"})
    reference = in_box(simulated.density * (-1 if dark == "map" else 1), simulated.particles, settings)
    with pytest.raises(ValueError, match=r"map.mrc: its negative explains the images better, .* multiply the map by"):
        Reconstruction(simulated.particles, settings, references=[reference])


def test_images_that_show_no_reference_are_said(simulated):
    noise = np.random.default_rng(1).normal(size=(COUNT, BOX, BOX)).astype(np.float32)
    settings = from_map()
    particles = in_memory(noise, EXTENT / BOX)
    reference = in_box(simulated.density, particles, settings)
    notes = Reconstruction(particles, settings, references=[reference]).preparation_notes
    assert any("no better than its negative" in note for note in notes)
    assert not any("negative" in note for note in started(simulated, settings).preparation_notes)


@pytest.mark.parametrize(("resolution", "last", "band"), [(24.0, 11, 4), (16.0, 11, 6), (10.0, 8, 8), (48.0, 11, 4)])
def test_the_band_starts_where_the_reference_ends(resolution, last, band, simulated):
    start = {"reference": "map.mrc", "reference_resolution": resolution}
    fit = started(simulated, from_map(start=start, volume={"encoding_band": last})).fits[0]
    assert fit.band.now == fit.volume.band == band
    assert fit.band.encoding == last


def test_the_reference_is_held_until_all_particles_were_looked_at(simulated):
    reconstruction = started(simulated, from_map())
    volume = reconstruction.fits[0].volume
    first, weights = volume.density.clone(), volume.sums[:, 1].clone()
    for _ in range(3):
        reconstruction.advance()
        assert_same(volume.density, first)
        assert bool((volume.sums[:, 1] >= weights).all())  # Nothing is forgotten.
        weights = volume.sums[:, 1].clone()
    reconstruction.advance()
    assert reconstruction.epoch == 1
    assert not torch.equal(volume.density, first)


def test_both_half_sets_start_from_the_same_map(simulated):
    first, second = started(simulated, from_map(preparation={"half_sets": True})).fits
    maps = [fit.volume.density.flatten() for fit in (first, second)]
    assert float(torch.corrcoef(torch.stack(maps))[0, 1]) > 0.9999
    assert float(maps[0].norm() / maps[1].norm()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("steps", [2, 6])
def test_a_resumed_run_needs_no_reference_and_goes_on_as_if_never_stopped(steps, simulated):
    settings = from_map()
    whole = started(simulated, settings)
    for _ in range(steps):
        whole.advance()
    resumed = Reconstruction(simulated.particles, settings)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for _ in range(8):
        whole.advance()
        resumed.advance()
    assert_same(resumed.state_dict(), whole.state_dict())


@pytest.mark.parametrize("preset", ["quick", "paper-cpu"])
def test_a_reference_is_made_as_symmetric_as_the_run(preset, simulated):
    lattice = started(simulated, from_map(preset, volume={"symmetry": "C2"})).fits[0].volume.hartley().detach()
    assert float((lattice - lattice.flip(1, 2)).norm() / lattice.norm()) < 0.01  # half a turn about z


@pytest.mark.parametrize(("tilt", "said"), [(0, ""), (40, "about others with"), (None, "averaged over the group")])
def test_a_reference_with_its_axes_elsewhere_is_refused(tilt, said, make_phantom, simulate):
    symmetric = symmetric_phantom(32, "D3", blobs=3)
    simulated = simulate(symmetric, count=60, snr=1.0)
    turn = Rotation.from_euler("x", tilt or 0, degrees=True).as_matrix()
    pixel_size = EXTENT / 32
    density = make_phantom(32) if tilt is None else apply_alignment(symmetric, turn, np.zeros(3), pixel_size)
    settings = from_map(start={"reference_resolution": EXTENT / 8}, volume={"symmetry": "D3"})
    reference = in_box(density, simulated.particles, settings, pixel_size)

    def start() -> list[str]:
        return Reconstruction(simulated.particles, settings, references=[reference]).preparation_notes

    if tilt:
        with pytest.raises(ValueError, match=said) as refused:
            start()
        assert "with the command `napari-cryospin symmetry`" in str(refused.value)
    else:
        assert [said in note for note in start() if "symmetry D3" in note] == ([True] if said else [])
