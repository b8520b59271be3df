"""Simulated files: read back with their truth they are what was asked for."""

import dataclasses
import errno

import mrcfile
import numpy as np
import pytest
import torch

from napari_cryospin.io.mrc import write_map
from napari_cryospin.io.star.particles import read_star_particles
from napari_cryospin.physics.map_crop import fourier_crop_map
from napari_cryospin.simulation import files as simulation
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import Projections, SimulationSettings

BLOBS = np.random.default_rng(3).uniform(-9, 9, (12, 3))
SETTINGS = SimulationSettings(count=200, box=32, snr=0.5, shift_sd=4.0, seed=3)


def phantom(n: int = 48) -> np.ndarray:
    line = np.arange(n) - n // 2
    factors = [np.exp(-((line - BLOBS[:, i, None]) ** 2) / 8) for i in range(3)]
    return np.einsum("bx,by,bz->zyx", *factors).astype(np.float32)


def images_of(star) -> np.ndarray:
    particles = read_star_particles(star)
    return particles.read_images(range(len(particles)))


def test_particles_have_no_poses_and_the_truth_has_the_same_rows(tmp_path):
    files = write_simulation(phantom(), tmp_path / "sim", SETTINGS, pixel_size=2.0)
    blind, truth = read_star_particles(files.particles), read_star_particles(files.truth)
    assert blind.rotations is None
    assert blind.shifts is None
    assert (len(blind), blind.box_sizes[0], blind.stacks) == (200, 32, (files.stack,))
    assert files.pixel_size == blind.pixel_sizes[0] == 3.0
    np.testing.assert_array_equal(blind.slice_index, truth.slice_index)
    np.testing.assert_array_equal(blind.ctf.defocus_u, truth.ctf.defocus_u)
    assert truth.shifts.std() == pytest.approx(4.0, rel=0.1)
    with mrcfile.open(files.stack) as mrc:
        assert mrc.is_image_stack()
        assert float(mrc.voxel_size.x) == 3.0
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("noise", ["white", "coloured"])
def test_snr_is_as_defined(tmp_path, noise):
    settings = dataclasses.replace(SETTINGS, noise=noise)
    files = write_simulation(phantom(), tmp_path / "noisy", settings, pixel_size=2.0)
    clean_files = write_simulation(
        phantom(), tmp_path / "clean", dataclasses.replace(settings, snr=None), pixel_size=2.0
    )
    clean = images_of(clean_files.particles)
    added = images_of(files.particles) - clean
    assert clean.var() / added.var() == pytest.approx(0.5, rel=0.02)
    assert clean.var() / files.noise_variance == pytest.approx(0.5, rel=1e-4)
    assert clean_files.noise_variance == 0


def test_truth_read_back_explains_the_images_and_nothing_else_does(tmp_path):
    files = write_simulation(phantom(), tmp_path / "sim", dataclasses.replace(SETTINGS, snr=None), pixel_size=2.0)
    truth, images = read_star_particles(files.truth), images_of(files.truth)
    project = Projections(fourier_crop_map(torch.from_numpy(phantom()), 32), 3.0)

    def correlation(rotations, shifts) -> float:
        return np.corrcoef(images.ravel(), project(rotations, shifts, truth.ctf).numpy().ravel())[0, 1]

    assert correlation(truth.rotations, truth.shifts) > 0.999999
    assert correlation(truth.rotations, -truth.shifts) < 0.9
    assert correlation(truth.rotations.transpose(0, 2, 1).copy(), truth.shifts) < 0.9


def test_same_seed_same_bytes(tmp_path, monkeypatch):
    first = write_simulation(phantom(), tmp_path / "a", SETTINGS, pixel_size=2.0)
    assert (
        write_simulation(phantom(), tmp_path / "b", SETTINGS, pixel_size=2.0).stack.read_bytes()
        == first.stack.read_bytes()
    )
    other = write_simulation(phantom(), tmp_path / "c", dataclasses.replace(SETTINGS, seed=4), pixel_size=2.0)
    assert other.stack.read_bytes() != first.stack.read_bytes()
    monkeypatch.setattr(simulation, "PIXELS_AT_A_TIME", 7 * 32**2)
    chunked = write_simulation(phantom(), tmp_path / "d", SETTINGS, pixel_size=2.0)
    np.testing.assert_allclose(images_of(chunked.particles), images_of(first.particles), atol=1e-4)


def test_map_and_ctf_table_from_files(tmp_path):
    write_map(tmp_path / "map.mrc", phantom(), 2.5)
    table = np.tile(
        [[360, 1.34, 15000, 14000, 30, 300, 2.7, 0.1, 0], [360, 1.34, 9000, 8000, 60, 200, 2, 0.07, 0]], (5, 1)
    )
    np.savez(tmp_path / "ctf.npz", ctf=table)
    settings = SimulationSettings(count=30, ctf_table=tmp_path / "ctf.npz")
    files = write_simulation(tmp_path / "map.mrc", tmp_path / "sim", settings)
    particles = read_star_particles(files.particles)
    assert particles.pixel_sizes[0] == 2.5
    assert set(zip(particles.ctf.defocus_u, particles.ctf.voltage, strict=True)) == {(15000, 300), (9000, 200)}
    assert len(np.unique(particles.optics_groups)) == 2


@pytest.mark.parametrize("count", [50, 300])
def test_orientations_are_those_of_a_table(tmp_path, count):
    """Each row once where there are enough, else some again; the table's own images need not be there."""
    source = write_simulation(phantom(), tmp_path / "source", dataclasses.replace(SETTINGS, count=100), pixel_size=2.0)
    source.stack.unlink()
    given = read_star_particles(source.truth, require_stacks=False).rotations
    settings = dataclasses.replace(SETTINGS, count=count, orientation_table=source.truth)
    drawn = read_star_particles(
        write_simulation(phantom(), tmp_path / "drawn", settings, pixel_size=2.0).truth
    ).rotations
    same = np.abs(drawn[:, None] - given).max((2, 3)) < 1e-6
    assert (same.sum(1) == 1).all()
    times = same.sum(0)
    assert times.max() == 1 if count == 50 else (times.max() > 1 and (times > 0).sum() > 80)


def test_orientations_of_particles_without_poses_are_refused(tmp_path):
    blind = write_simulation(phantom(), tmp_path / "blind", SETTINGS, pixel_size=2.0).particles
    with pytest.raises(ValueError, match=r"blind\.star: has no poses"):
        write_simulation(phantom(), tmp_path / "new", SimulationSettings(orientation_table=blind), pixel_size=2.0)
    assert not (tmp_path / "new.mrcs").exists()


def test_without_ctf_the_file_says_nothing_of_it(tmp_path):
    files = write_simulation(phantom(), tmp_path / "sim", dataclasses.replace(SETTINGS, ctf=False), pixel_size=2.0)
    assert read_star_particles(files.particles).ctf is None


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(simulation, "_add_noise", full)
    with pytest.raises(OSError, match="No space left"):
        write_simulation(phantom(), tmp_path / "sim", SETTINGS, pixel_size=2.0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": np.zeros((4, 4, 6), np.float32)}, "expected a cube"),
        ({"pixel_size": 0.0}, "pixel size 0"),
        ({"pixel_size": None}, "pixel size None"),
        ({"settings": SimulationSettings(box=64)}, "expected at least the 64 px"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path, given, message):
    arguments = {"source": phantom(), "out": tmp_path / "sim", "settings": SETTINGS, "pixel_size": 2.0} | given
    with pytest.raises(ValueError, match=message):
        write_simulation(**arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [{"other": np.zeros((2, 9))}, {"ctf": np.zeros((2, 8))}, {"ctf": np.full((2, 9), np.nan)}]
)
def test_a_wrong_ctf_table_is_refused(tmp_path, content):
    np.savez(tmp_path / "ctf.npz", **content)
    with pytest.raises(ValueError, match=r"ctf\.npz: .*expected"):
        write_simulation(
            phantom(), tmp_path / "sim", SimulationSettings(ctf_table=tmp_path / "ctf.npz"), pixel_size=2.0
        )
