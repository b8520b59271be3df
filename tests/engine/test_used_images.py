"""Images that cannot be used: all are named at once, or left out of the run as if they were not there."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_cryospin.engine.bad_images import BadImagesError
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.used_images import UsedImages, prepare_used_images
from napari_cryospin.engine.used_rows import evenly_spread
from napari_cryospin.settings import PreparationSettings, Settings

COUNT = 60
BAD = {4: "all pixels are 0", 31: "pixels that are no numbers", 47: "grey values do not vary outside the mask"}


@pytest.fixture(scope="module")
def simulated(make_phantom, simulate):
    return simulate(make_phantom(16), count=COUNT, snr=1.0)


@pytest.fixture(scope="module")
def particles(simulated):
    images = simulated.images.copy()
    images[4], images[31, 8, 8], images[47] = 0, np.inf, 2
    images[47, 8, 8] = 5
    return dataclasses.replace(simulated.particles, open_stack=lambda path: images)


def prepare(particles, **settings) -> UsedImages:
    choice = Settings(preparation=PreparationSettings(**settings))
    devices = [torch.device("cpu")] * (2 if choice.preparation.half_sets else 1)
    return prepare_used_images(particles, choice, devices, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("settings", [{}, {"half_sets": True}, {"cache": 0.0}, {"cache": 0.0, "half_sets": True}])
def test_all_are_named_at_once(particles, settings, monkeypatch) -> None:
    monkeypatch.setattr(PreparedImages, "chunk", 7)
    with pytest.raises(BadImagesError, match=r"memory.star: 3 images cannot be used") as caught:
        prepare(particles, **settings)
    assert caught.value.faults == BAD
    assert [
        str(caught.value).count(f"particle {row + 1} (image {row + 1} of memory.mrcs): {BAD[row]}") for row in BAD
    ] == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("half_sets", [False, True])
@pytest.mark.parametrize("cache", [0.0, 4.0])
def test_a_run_without_them_is_that_of_a_file_without_them(particles, half_sets, cache) -> None:
    used = prepare(particles, leave_out_bad=True, half_sets=half_sets, cache=cache)
    assert used.left_out == BAD
    assert used.notes[0].startswith("3 images cannot be used and left out: particle 5 (image 5 of memory.mrcs)")
    kept = np.setdiff1d(np.arange(COUNT), list(BAD))
    alone = prepare(particles.select(kept), half_sets=half_sets, cache=cache)
    assert alone.left_out == {}
    assert alone.notes == ()
    for part, other in zip(used.parts, alone.parts, strict=True):
        np.testing.assert_array_equal(part.rows, kept[other.rows])
        torch.testing.assert_close(part.noise, other.noise)
        every = torch.arange(len(part))
        torch.testing.assert_close(part.coefficients(every), other.coefficients(every))


def test_subset_is_drawn_among_those_that_can_be_used(particles) -> None:
    used = prepare(particles, leave_out_bad=True, subset=56)
    assert len(used.parts[0].rows.unique()) == 56
    assert not set(used.parts[0].rows.tolist()) & set(used.left_out)
    assert set(used.left_out) <= set(BAD)
    again = prepare(particles, leave_out_bad=True, subset=56)
    assert torch.equal(used.parts[0].rows, again.parts[0].rows)


def test_where_none_can_be_used_nothing_runs(particles) -> None:
    empty = dataclasses.replace(particles, open_stack=lambda path: np.zeros((COUNT, 16, 16), np.float32))
    with pytest.raises(ValueError, match=r"memory.star: none of the 60 images can be used"):
        prepare(empty, leave_out_bad=True)


def test_clean_particles_are_chosen_as_ever(simulated) -> None:
    for settings in ({}, {"subset": 20}, {"half_sets": True}):
        used, other = (
            prepare(simulated.particles, **settings),
            prepare(simulated.particles, leave_out_bad=True, **settings),
        )
        assert used.left_out == other.left_out == {}
        for part, same in zip(used.parts, other.parts, strict=True):
            assert torch.equal(part.rows, same.rows)


def test_hot_pixels_are_said_and_do_no_harm(simulated) -> None:
    images = simulated.images.copy()
    hot = np.arange(0, COUNT, 4)
    images[hot, 2 + hot % 12, 8] += 100 * images.std()
    used = prepare(dataclasses.replace(simulated.particles, open_stack=lambda path: images))
    assert used.parts[0].replaced == dict.fromkeys(hot.tolist(), 1)
    (note,) = used.notes
    assert note.startswith("hot or dead pixels in 15 of 60 images (15 pixels), replaced by the median")
    assert note.endswith("particles 1, 5, 9, 13, 17, 21, 25, 29, 33, 37 and 5 more")
    clean = prepare(simulated.particles).parts[0]
    torch.testing.assert_close(used.parts[0].noise, clean.noise, rtol=0.1, atol=0)
    every = torch.arange(COUNT)
    found, expected = used.parts[0].coefficients(every), clean.coefficients(every)
    assert float((found - expected).abs().square().mean() / expected.abs().square().mean()) < 0.02


def test_results_say_what_was_left_out(particles) -> None:
    settings = Settings(preparation=PreparationSettings(leave_out_bad=True))
    reconstruction = Reconstruction(particles, settings)
    assert reconstruction.left_out == BAD
    reconstruction.advance()
    results = reconstruction.results()
    assert not set(results.particles.rows.tolist()) & set(BAD)
    assert any(note.startswith("3 images cannot be used and left out") for note in results.notes)


@pytest.mark.parametrize(("count", "wanted"), [(10, 4), (4, 10), (5, 5), (0, 3), (20_000_001, 7)])
def test_an_even_sample_has_both_ends_and_no_row_twice(count, wanted):
    rows = evenly_spread(count, wanted)
    assert len(rows) == min(count, wanted) == len(rows.unique())
    if len(rows):
        assert (int(rows[0]), int(rows[-1])) == (0, count - 1)
