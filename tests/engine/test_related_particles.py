"""Particles that are no independent observations stay in one half set; all others are drawn as ever."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cryospin.checks.preflight import preflight
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.related_particles import image_numbers, related_groups, repeated_images, separated_groups
from napari_cryospin.engine.used_rows import choose_rows, draw_folds
from napari_cryospin.particles import Particles
from napari_cryospin.settings import PRESETS, Settings
from support.simulated import in_memory

COUNT = 60


def settings_with(**preparation) -> Settings:
    quick = PRESETS["quick"]
    return dataclasses.replace(quick, preparation=dataclasses.replace(quick.preparation, **preparation))


HALVES = settings_with(half_sets=True)


def particles_of(slices, **fields) -> Particles:
    """One particle for each slice of one stack."""
    slices = np.asarray(slices)
    images = np.random.default_rng(0).standard_normal((slices.max() + 1, 16, 16)).astype(np.float32)
    return in_memory(images[slices], 4.0, slice_index=slices, open_stack=lambda path: images, **fields)


def halves_of(particles: Particles, settings: Settings = HALVES, seed: int = 0) -> np.ndarray:
    """`(n,)` half set of each particle, 1 or 2; 0: not used."""
    found = np.zeros(len(particles), int)
    for half, rows in enumerate(choose_rows(particles, settings, torch.Generator().manual_seed(seed)), start=1):
        assert (rows.diff() > 0).all()
        found[rows.numpy()] = half
    return found


@pytest.mark.parametrize("subset", [None, 41])
def test_independent_particles_are_dealt_one_by_one(subset):
    """Bit for bit as a shuffled pack of cards is dealt to two, whatever is related among others."""
    particles = particles_of(range(COUNT))
    generator = torch.Generator().manual_seed(7)
    rows = torch.arange(COUNT)
    if subset is not None:
        rows = torch.randperm(COUNT, generator=generator)[:subset].sort().values
    order = torch.randperm(len(rows), generator=generator)
    expected = np.zeros(COUNT, int)
    expected[rows[order[0::2]]], expected[rows[order[1::2]]] = 1, 2
    found = halves_of(particles, settings_with(half_sets=True, subset=subset), seed=7)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("times", [2, 4])
def test_an_image_that_occurs_several_times_is_in_one_half(times, seed):
    slices = np.random.default_rng(seed).permutation(np.repeat(np.arange(COUNT), times))
    halves = halves_of(particles_of(slices), seed=seed)
    for image in range(COUNT):
        assert len(set(halves[slices == image])) == 1
    assert abs((halves == 1).sum() - (halves == 2).sum()) <= times


@pytest.mark.parametrize("seed", range(5))
def test_a_tube_is_in_one_half_and_halves_are_of_a_size(seed):
    tubes = np.repeat(np.arange(9), [30, 3, 5, 12, 8, 1, 1, 20, 10])
    singles = np.full(15, -1)
    relations = np.concatenate((tubes, singles))[:, None]
    halves = halves_of(particles_of(range(len(relations)), relations=relations), seed=seed)
    for tube in range(9):
        assert len(set(halves[relations[:, 0] == tube])) == 1
    assert abs((halves == 1).sum() - (halves == 2).sum()) <= 1


def folds_of(particles: Particles, rows=None, seed: int = 0) -> np.ndarray:
    rows = torch.arange(len(particles)) if rows is None else torch.as_tensor(rows)
    return draw_folds(particles, rows, torch.Generator().manual_seed(seed)).numpy()


@pytest.mark.parametrize("rows", [range(COUNT), range(3, COUNT, 2)])
def test_independent_particles_have_the_folds_of_a_shuffled_pack(rows):
    expected = torch.randperm(len(rows), generator=torch.Generator().manual_seed(4)) % 2
    np.testing.assert_array_equal(folds_of(particles_of(range(COUNT)), list(rows), seed=4), expected)


@pytest.mark.parametrize("seed", range(5))
def test_related_particles_are_in_one_fold(seed):
    rng = np.random.default_rng(seed)
    slices = rng.permutation(np.repeat(np.arange(COUNT), 2))
    rows = np.sort(rng.choice(2 * COUNT, 90, replace=False))
    folds = folds_of(particles_of(slices), rows, seed)
    for image in np.unique(slices[rows]):
        assert len(set(folds[slices[rows] == image])) == 1
    assert abs((folds == 0).sum() - (folds == 1).sum()) <= 2


def test_a_single_group_still_has_two_folds():
    folds = folds_of(particles_of(range(8), relations=np.zeros((8, 1), int)))
    assert sorted(folds) == [0] * 4 + [1] * 4


def test_a_run_without_half_sets_keeps_related_particles_in_one_fold():
    slices = np.tile(np.arange(COUNT), 2)
    folds = Reconstruction(particles_of(slices), settings_with(half_sets=False)).fits[0].particles.folds
    assert torch.equal(folds[:COUNT], folds[COUNT:])
    assert folds.unique().tolist() == [0, 1]


def test_groups_are_all_that_is_related_through_others():
    """Compared with the closure of the relation, by brute force."""
    rng = np.random.default_rng(3)
    relations = np.where(rng.random((80, 2)) < 0.5, rng.integers(0, 60, (80, 2)), -1)
    particles = particles_of(rng.integers(0, 120, 80), relations=relations)
    same = np.equal.outer(particles.slice_index, particles.slice_index)
    for numbers in relations.T:
        same |= np.equal.outer(numbers, numbers) & (numbers >= 0)[:, None]
    for _ in range(7):
        same = same @ same
    groups = related_groups(particles)
    np.testing.assert_array_equal(np.equal.outer(groups, groups), same)
    assert list(dict.fromkeys(groups)) == [*range(groups.max() + 1)]  # in the order of their first rows


def test_a_stack_with_two_names_has_the_same_images(tmp_path):
    (tmp_path / "a.mrcs").touch()
    (tmp_path / "b.mrcs").symlink_to(tmp_path / "a.mrcs")
    stacks = (tmp_path / "a.mrcs", tmp_path / "b.mrcs", Path("missing.mrcs"))
    particles = particles_of([3, 3, 3, 4], stacks=stacks, stack_index=np.array([0, 1, 2, 0], np.int32))
    numbers = image_numbers(particles)
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 3


def test_half_sets_of_the_file_are_kept_and_judged():
    slices = np.repeat(np.arange(6), 2)
    apart = particles_of(slices, half_sets=np.tile([1, 2], 6).astype(np.int8))
    np.testing.assert_array_equal(halves_of(apart), apart.half_sets)
    assert separated_groups(apart) == 6
    together = particles_of(slices, half_sets=np.repeat([1, 2], 6).astype(np.int8))
    assert separated_groups(together) == 0
    assert any("separate 6 groups of related particles" in note for note in preflight(apart, HALVES).notes)
    assert not any("separate" in note for note in preflight(together, HALVES).notes)


def test_one_group_makes_no_halves():
    particles = particles_of(range(8), relations=np.zeros((8, 1), int))
    with pytest.raises(ValueError, match=r"holds none of the 8 particles used; .* all are related"):
        halves_of(particles)


@pytest.mark.parametrize(
    ("slices", "said"),
    [
        ([0, 1, 2, 3], ""),
        ([0, 1, 2, 0], "1 image occurs twice; "),
        ([0, 0, 1, 1, 2], "2 images occur twice; "),
        ([0, 0, 0, 1, 1, 1], "2 images occur 3 times; "),
        ([0, 0, 0, 1, 1, 2], "2 images occur more than once (up to 3 times); "),
    ],
)
def test_the_card_tells_how_often_images_occur(slices, said):
    particles = particles_of(slices)
    assert repeated_images(particles).startswith(said)
    noted = [note for note in preflight(particles, PRESETS["quick"]).notes if "rows of an image" in note]
    assert len(noted) == bool(said)
