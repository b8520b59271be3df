"""Several maps in one run: particles of two molecules come apart, and nothing of a run with one class changes."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cryospin.engine import class_outcome
from napari_cryospin.engine.class_matching import MatchedClasses, likeness
from napari_cryospin.engine.class_sorting import sort_classes
from napari_cryospin.engine.classes import class_shares, drop_class, merge_classes, offer, remake_classes, split
from napari_cryospin.engine.commands import Commands
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.fit_metrics import fit_metrics
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.volume_steps import WienerStep
from napari_cryospin.particles import Particles
from napari_cryospin.runs.messages import RefusedError
from napari_cryospin.settings import PRESETS, Settings
from support.same_state import assert_same
from support.simulated import EXTENT, in_memory

BOX, COUNT, BATCH = 16, 240, 60
SHARE = 0.6


def two_states(make_phantom) -> tuple[Tensor, Tensor]:
    """A molecule of blobs with and without an arm, `(n, n, n)` each."""
    body = make_phantom(BOX)
    line = (torch.arange(BOX) - BOX // 2) * EXTENT / BOX
    place = torch.tensor([22.0, -16.0, 10.0])
    x, y, z = (torch.exp(-((line - at) ** 2) / (2 * 7.0**2)) for at in place)
    return body, body + 1.5 * torch.einsum("z,y,x->zyx", z, y, x)


@dataclasses.dataclass(frozen=True)
class Mixture:
    particles: Particles
    body: Tensor  # (n, n, n) of the first state
    second: np.ndarray  # (n,) whether the arm is there


@pytest.fixture(scope="module")
def mixture(make_phantom, simulate) -> Mixture:
    """Images of both states, with the same poses and CTFs as they are in the set of each."""
    states = two_states(make_phantom)
    parts = [simulate(density, count=COUNT, snr=3.0, seed=9) for density in states]
    second = np.random.default_rng(3).random(COUNT) >= SHARE
    images = np.where(second[:, None, None], parts[1].images, parts[0].images)
    first = parts[0].particles
    particles = in_memory(images, EXTENT / BOX, ctf=first.ctf, rotations=first.rotations, shifts=first.shifts)
    return Mixture(particles, states[0], second)


def tiny(classes: int = 2, symmetry: str = "C1", **changed) -> Settings:
    settings, replace = PRESETS["quick"], dataclasses.replace
    return replace(
        settings,
        encoder=replace(settings.encoder, heads=2, encoder_box=16, shifts=False, encoder_batch=BATCH),
        schedule=replace(settings.schedule, epochs=9, decoding_epochs=None, batch_size=BATCH, switch=2),
        preparation=replace(settings.preparation, half_sets=changed.pop("half_sets", False)),
        volume=replace(
            settings.volume, growth_steps=4, encoding_band=5, classes=classes, scales="none", symmetry=symmetry
        ),
        start=replace(settings.start, reference="body.mrc"),
        machine=replace(settings.machine, device="cpu", threads=1),
    )


@pytest.fixture
def fit(mixture) -> Fit:
    """A fit at the true poses, split into two classes at random."""
    settings = tiny()
    images = PreparedImages(mixture.particles, settings.preparation, torch.arange(COUNT), torch.device("cpu"))
    fit = Fit(images, settings, torch.Generator().manual_seed(1))
    everyone = torch.arange(COUNT)
    fit.particles.record_poses(everyone, torch.from_numpy(mixture.particles.rotations).float(), torch.zeros(COUNT, 2))
    fit.band.now = 6
    WienerStep(fit).remake(6)
    split(fit, 2)
    return fit


def right(fit: Fit, second: np.ndarray) -> float:
    """Share of the particles in the class of their state, whatever its number."""
    in_second = fit.particles.classes.numpy() == 1
    return max((in_second == second).mean(), (in_second != second).mean())


def test_a_split_deals_all_particles_and_keeps_the_sums(fit):
    """The classes' sums add up to those of the fit with one class."""
    both = sum(view.volume.sums for view in fit.classes)
    sizes = [len(view.members) for view in fit.classes]
    assert sizes == [COUNT // 2, COUNT // 2]
    fit.set_classes([fit.volume])
    fit.particles.set_class_count(1)
    WienerStep(fit).remake(6)
    torch.testing.assert_close(both, fit.volume.sums, rtol=1e-4, atol=1e-3)


def test_two_states_come_apart(fit, mixture):
    poses = GaussNewtonPoses(fit)
    assert right(fit, mixture.second) < 0.6
    for _ in range(6):
        sort_classes(fit, poses, draw=True)
    change = sort_classes(fit, poses, draw=False)
    assert right(fit, mixture.second) > 0.97
    assert change < 0.05
    shares = sorted(class_shares(fit).tolist())
    assert shares[1] == pytest.approx(1 - mixture.second.mean(), abs=0.05)


def test_sorting_compares_an_image_with_maps_that_it_is_no_part_of(fit):
    """If the classes of one fold are emptied, the particles of that fold are compared as before."""
    poses, first = GaussNewtonPoses(fit), fit.fold_members(0)
    other = copy.deepcopy(fit)
    for view in other.classes:
        view.volume.sums[0] = view.volume.sums[0] * 0.5  # The filter is of both folds, and hardly changes.
    for one in (fit, other):
        sort_classes(one, GaussNewtonPoses(one), draw=False)
    same = fit.particles.classes[first] == other.particles.classes[first]
    assert float(same.float().mean()) > 0.95
    assert poses.fit is fit


def test_the_sums_after_sorting_are_those_of_the_classes(fit):
    sort_classes(fit, GaussNewtonPoses(fit), draw=True)
    sums = [view.volume.sums.clone() for view in fit.classes]
    for view, before in zip(fit.classes, sums, strict=True):
        WienerStep(view).remake(6)
        torch.testing.assert_close(before, view.volume.sums, rtol=1e-4, atol=1e-3)


def test_probabilities_sum_to_one_and_name_the_class(fit):
    sort_classes(fit, GaussNewtonPoses(fit), draw=False)
    probability = fit.particles.class_probability
    torch.testing.assert_close(probability.sum(1), torch.ones(COUNT))
    assert (probability.argmax(1) == fit.particles.classes).all()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_dropped_class_leaves_its_particles_to_the_others(fit, number):
    split(fit, 3)
    probability = torch.rand(COUNT, 3, generator=torch.Generator().manual_seed(2))
    fit.particles.record_class_probability(torch.arange(COUNT), probability)
    before, volumes = fit.particles.classes.clone(), [view.volume for view in fit.classes]
    assert drop_class(fit, number) == COUNT // 3
    left = [k for k in range(3) if k != number]
    assert [view.volume for view in fit.classes] == [volumes[k] for k in left]
    expected = torch.where(before == number, torch.tensor(left)[probability[:, left].argmax(1)], before)
    assert (torch.tensor(left)[fit.particles.classes] == expected).all()
    torch.testing.assert_close(fit.particles.class_probability.sum(1), torch.ones(COUNT))


def test_merged_classes_are_one(fit):
    split(fit, 3)
    before = fit.particles.classes.clone()
    merge_classes(fit, 2, 0)
    assert len(fit.classes) == 2
    assert (fit.particles.classes == torch.tensor([0, 1, 0])[before]).all()
    assert fit.particles.class_probability.shape == (COUNT, 2)
    merge_classes(fit, 0, 1)
    assert fit.classes == [fit]
    assert len(fit.members) == COUNT


def test_the_place_of_a_dead_class_goes_to_the_worst_explained(fit):
    error = torch.rand(COUNT, generator=torch.Generator().manual_seed(4))
    fit.particles.record_classes(torch.arange(COUNT), torch.zeros(COUNT, dtype=torch.long))
    fit.particles.record_errors(torch.arange(COUNT), error)
    count = offer(fit, 1)
    assert count == COUNT // 4
    chosen = fit.particles.classes == 1
    assert int(chosen.sum()) == count
    assert float(error[chosen].min()) >= float(error[~chosen].max())


def test_maps_of_one_thing_look_alike_and_those_of_two_do_not(make_phantom):
    """However much noise the maps have."""
    generator = torch.Generator().manual_seed(0)
    first, second = (density.numpy() for density in two_states(make_phantom))

    def folds(density):
        noise = torch.randn(2, BOX, BOX, BOX, generator=generator).numpy() * 0.05 * density.std()
        return [density + each for each in noise]

    assert likeness(folds(first), folds(first)) > 0.99
    assert likeness(folds(first), folds(second)) < 0.97


def run(mixture: Mixture, settings: Settings) -> Reconstruction:
    """Run to the end from the molecule without its arm, with which a few epochs suffice."""
    reconstruction = Reconstruction(mixture.particles, settings, references=[mixture.body])
    while not reconstruction.finished:
        reconstruction.advance()
    return reconstruction


@pytest.fixture(scope="module")
def finished(mixture) -> Reconstruction:
    return run(mixture, tiny())


def test_a_run_tells_each_class(finished, mixture):
    results, snapshot, history = finished.results(), finished.snapshot(), finished.history()
    assert len(results.classes) == len(snapshot.class_maps) == history.classes == 2
    members = [one.particles.rows for one in results.classes]
    assert sorted(np.concatenate(members)) == list(range(COUNT))
    numbers = results.particles.class_number
    for number, rows in enumerate(members, start=1):
        assert set(results.particles.rows[numbers == number]) == set(rows)
    largest = max(results.classes, key=lambda one: len(one.particles))
    assert np.array_equal(results.map, largest.map)
    in_second = numbers[np.argsort(results.particles.rows)] == 2
    assert max((in_second == mixture.second).mean(), (in_second != mixture.second).mean()) > 0.9
    metrics = finished.epoch_metrics()
    assert metrics["class_share_1"] + metrics["class_share_2"] == pytest.approx(1)
    position = int(np.flatnonzero(history.particles.class_number == 2)[0])
    assert np.array_equal(history.all_maps[history.map_of(position)], snapshot.maps_of_class(2)[0])


@pytest.mark.parametrize("steps", [10, 25])
def test_a_resumed_run_is_the_uninterrupted_one(finished, mixture, steps):
    reconstruction = Reconstruction(mixture.particles, tiny(), references=[mixture.body])
    for _ in range(steps):
        reconstruction.advance()
    state = copy.deepcopy(reconstruction.state_dict())
    other = Reconstruction(mixture.particles, tiny())
    other.load_state_dict(state)
    while not other.finished:
        other.advance()
    assert_same(other.state_dict(), finished.state_dict())


def test_with_a_symmetry_too(mixture):
    """After the switch, in the middle of an epoch."""
    whole = advanced(mixture, 14, symmetry="C2")
    assert [view.volume.symmetry.name for view in whole.fits[0].classes] == ["C2", "C2"]
    resumed = Reconstruction(mixture.particles, tiny(symmetry="C2"))
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for reconstruction in (whole, resumed):
        for _ in range(12):
            reconstruction.advance()
    assert_same(resumed.state_dict(), whole.state_dict())


def advanced(mixture: Mixture, steps: int, **changed) -> Reconstruction:
    reconstruction = Reconstruction(mixture.particles, tiny(**changed), references=[mixture.body])
    for _ in range(steps):
        reconstruction.advance()
    return reconstruction


@pytest.mark.parametrize("steps", [13, 16])
def test_classes_are_dropped_and_merged_within_an_epoch_and_between_two(mixture, steps):
    reconstruction = advanced(mixture, steps, classes=4)
    (fit,) = reconstruction.fits
    members = len(fit.classes[1].members)
    told = Commands(reconstruction).drop_class(2)
    assert told == f"class 2 was taken out; its {members} particles are in the other classes"
    Commands(reconstruction).merge_classes(1, 3)
    assert len(fit.classes) == fit.particles.class_probability.shape[1] == 2
    together = sum(view.volume.sums for view in fit.classes)
    whole = copy.deepcopy(fit)
    whole.set_classes([whole.volume])
    whole.particles.set_class_count(1)
    WienerStep(whole).remake(whole.band.now)  # No particle is lost: all of them are in the sums at once.
    torch.testing.assert_close(together, whole.volume.sums, rtol=1e-4, atol=1e-2)
    before = reconstruction.epoch
    while reconstruction.epoch == before:
        reconstruction.advance()
    assert reconstruction.snapshot().classes == len(reconstruction.results().classes) == 2


def test_a_class_with_other_particles_is_not_extrapolated_from_its_map_before(mixture):
    reconstruction = advanced(mixture, 13, classes=3)
    stage = reconstruction.stages[0]
    for part in stage.classes:
        part.maps.before = part.fit.volume.density
    stage.merge(0, 1)
    assert [part.maps.before for part in stage.classes] == [None, None]


def test_what_cannot_be_done_with_classes_is_refused(mixture):
    early, late = advanced(mixture, 3), advanced(mixture, 13)
    with pytest.raises(RefusedError, match="only one class; particles are sorted into classes from the switch on"):
        Commands(early).drop_class(1)
    for wrong in (0, 3):
        with pytest.raises(RefusedError, match=f"there is no class {wrong}; expected 1 to 2"):
            Commands(late).drop_class(wrong)
    with pytest.raises(RefusedError, match="class 1 twice"):
        Commands(late).merge_classes(1, 1)
    Commands(late).drop_class(1)
    with pytest.raises(RefusedError, match="there is only one class"):
        Commands(late).drop_class(1)


def test_a_run_with_one_class_has_nothing_of_classes(mixture):
    reconstruction = run(mixture, tiny(classes=1))
    results, history = reconstruction.results(), reconstruction.history()
    assert results.classes == ()
    assert results.particles.class_number is None
    assert history.class_maps == ()
    assert not any("class" in name for name in reconstruction.epoch_metrics())


@pytest.mark.parametrize("preset", ["paper-cpu", "paper-synthetic", "paper-experimental"])
def test_the_paper_has_one_class(preset):
    settings = PRESETS[preset]
    with pytest.raises(ValueError, match=r"volume.classes is 2 .* expected a method with a switch and wiener"):
        dataclasses.replace(settings, volume=dataclasses.replace(settings.volume, classes=2))


def of_half_sets(mixture: Mixture, swap: bool) -> Reconstruction:
    """Half sets after their switch, sorted as they are in truth; the second half may number its classes otherwise."""
    reconstruction = Reconstruction(mixture.particles, tiny(half_sets=True), references=[mixture.body])
    while reconstruction.epoch < 2:
        reconstruction.advance()
    reconstruction.switch_to_auto_decoding("by a test")
    for half, fit in enumerate(reconstruction.fits):
        second = torch.from_numpy(mixture.second[fit.images.rows.numpy()]).long()
        classes = 1 - second if swap and half == 1 else second
        fit.particles.record_classes(torch.arange(len(fit)), classes)
        fit.particles.record_class_probability(torch.arange(len(fit)), torch.nn.functional.one_hot(classes, 2).float())
        remake_classes(fit)
    return reconstruction


@pytest.mark.parametrize("swap", [False, True])
def test_the_classes_of_two_half_sets_are_matched(mixture, swap):
    """Each half numbers its classes by chance; results have one number for both, and half maps of each class."""
    results = of_half_sets(mixture, swap).results()
    assert [len(one.half_maps) for one in results.classes] == [2, 2]
    record = results.particles.in_order_of_rows()
    assert np.array_equal(record.class_number == 2, mixture.second)
    assert np.array_equal(record.class_probability[:, 1] == 1, mixture.second)


def test_a_class_that_one_half_lacks_stays_alone(mixture):
    reconstruction = of_half_sets(mixture, swap=False)
    drop_class(reconstruction.fits[0], 0)
    results, history = reconstruction.results(), reconstruction.history()
    assert sorted(len(one.half_maps) for one in results.classes) == [0, 2]
    assert any("was found in one of the half sets only" in note for note in results.notes)
    assert sorted(np.concatenate([one.particles.rows for one in results.classes])) == list(range(COUNT))
    assert history.classes == 2
    assert len(history.class_maps) == 4


def test_alike_classes_are_told_by_their_numbers(mixture, monkeypatch):
    reconstruction = advanced(mixture, 13, classes=3)
    first, second, third = reconstruction.fits[0].classes
    monkeypatch.setattr(class_outcome, "alike_classes", lambda views: [(0, 1)])
    numbers = [np.arange(3), np.array([0, 2])]  # The second half has no class like the second one of the first.
    matched = MatchedClasses([[first, first], [second], [third, third]], numbers)
    assert class_outcome._notes([5, 5, 5], 0, matched)[-1].startswith("classes 1 and 3 look alike")


def test_shares_of_classes_are_told_whichever_half_has_them(mixture):
    reconstruction = of_half_sets(mixture, swap=False)
    drop_class(reconstruction.fits[0], 0)
    shares = fit_metrics(reconstruction.fits)
    assert shares["class_share_1"] + shares["class_share_2"] == pytest.approx(1)


def test_the_larger_class_does_not_win_by_its_number_of_particles(fit, mixture):
    """Two classes of one state, one of them with nine times as many particles: once decided, their maps are alike."""
    few = torch.arange(COUNT) % 10 == 0
    fit.particles.record_classes(torch.arange(COUNT), few.long())
    remake_classes(fit)
    together = sum(view.volume.sums for view in fit.classes)
    larger, smaller = (view.volume.differing_fold_average(0, together) for view in fit.classes)
    own = [view.volume.fold_average(0) for view in fit.classes]

    def apart(maps):
        return float((maps[0] - maps[1]).norm() / maps[0].norm())

    assert apart((larger, smaller)) < 0.5 * apart(own)


def test_what_differs_stays_in_the_maps_of_classes_that_are_decided(fit, mixture):
    fit.particles.record_classes(torch.arange(COUNT), torch.from_numpy(mixture.second).long())
    remake_classes(fit)
    together = sum(view.volume.sums for view in fit.classes)
    shared = [view.volume.differing_fold_average(0, together) for view in fit.classes]
    own = [view.volume.fold_average(0) for view in fit.classes]
    found, expected = shared[1] - shared[0], own[1] - own[0]
    correlation = float((found * expected).sum() / (found.norm() * expected.norm()))
    assert correlation > 0.7
