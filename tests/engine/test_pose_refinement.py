"""Local refinement: derivatives, the way back to the truth, steps that are taken back."""

import pytest
import torch
from torch import Tensor

from napari_cryospin.engine import pose_refinement
from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.pose_refinement import refine_poses
from napari_cryospin.geometry.so3 import exponential_map, random_rotations, rotation_distance
from napari_cryospin.models.projector import Projector
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import half_plane

BOX, EXTENT, PADDING = 16, 96.0, 2


def lattices_of(density: Tensor, padding: int = PADDING) -> Tensor:
    volume = WienerVolume(BOX, padding, first_band=BOX // 2 - 1, mask_radius=0.48)
    return volume.gradient_lattices(density)


def make_batch(images: Tensor, ctf: Tensor, points: Tensor) -> Batch:
    weights = torch.full(ctf.shape, 4.0)
    rows = torch.arange(len(images))
    return Batch(rows=rows, images=images, ctf=ctf, points=points, weights=weights, extent=EXTENT)


def refine(lattices: Tensor, batch: Batch, rotations: Tensor, shifts: Tensor | None, steps: int):
    return refine_poses(lattices, batch, rotations, shifts, padding=PADDING, steps=steps)


@pytest.fixture
def data(make_phantom):
    """Lattices, true poses, and a batch of 40 noise-free images."""
    generator = torch.Generator().manual_seed(0)
    points = half_plane(BOX)
    lattices = lattices_of(make_phantom(BOX))
    rotations = random_rotations(40, generator)
    shifts = 8 * torch.randn(40, 2, generator=generator)
    ctf = torch.cos(0.3 * points.float().norm(dim=-1) * (1 + torch.rand(40, 1, generator=generator)))
    images = Projector(points=points, extent=EXTENT, padding=PADDING)(lattices[0], rotations, shifts, ctf)
    return lattices, rotations, shifts, make_batch(images, ctf, points)


def perturbed(rotations: Tensor, shifts: Tensor, degrees: float, pixels: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    axis = torch.nn.functional.normalize(torch.randn(len(rotations), 3, generator=generator), dim=-1)
    move = torch.nn.functional.normalize(torch.randn(len(rotations), 2, generator=generator), dim=-1)
    return exponential_map(torch.deg2rad(torch.tensor(degrees)) * axis) @ rotations, shifts + pixels * move * 6.0


def test_perturbed_poses_come_back_and_nothing_is_written_to(data):
    lattices, rotations, shifts, batch = data
    start, moved = perturbed(rotations, shifts, degrees=5.0, pixels=1.0)
    arguments = (lattices, start, moved, batch.images, batch.ctf, batch.weights, batch.points)
    kept = [value.clone() for value in arguments]
    found, places, errors = refine(lattices, batch, start, moved, steps=8)
    assert float(rotation_distance(found, rotations).median()) < 0.1
    assert float(rotation_distance(found, rotations).max()) < 1.0
    assert float((places - shifts).norm(dim=1).max()) < 0.5
    assert errors.shape == (40,)
    for value, before in zip(arguments, kept, strict=True):
        assert torch.equal(value, before)


@pytest.mark.parametrize("centred", [True, False])
def test_short_steps_need_no_judgement(data, centred):
    """From half a degree, one step that is not judged does what a judged one does, with half of the evaluations."""
    lattices, rotations, shifts, batch = data
    start, moved = perturbed(rotations, shifts, degrees=0.5, pixels=0.0 if centred else 0.02)
    if centred:
        projector = Projector(points=batch.points, extent=EXTENT, padding=PADDING)
        batch = make_batch(projector(lattices[0], rotations, None, batch.ctf), batch.ctf, batch.points)
        moved = None
    options = {"padding": PADDING, "steps": 2}
    judged, places, after = refine_poses(lattices, batch, start, moved, **options)
    found, unjudged_places, before = refine_poses(lattices, batch, start, moved, **options, judge_all=False)
    torch.testing.assert_close(found, judged)
    assert (places is None) == (unjudged_places is None) == centred
    if not centred:
        torch.testing.assert_close(unjudged_places, places)
    assert (after < before).all()  # The errors are those before the step.
    assert float(rotation_distance(found, rotations).max()) < 0.05


def test_long_steps_are_always_judged(data):
    lattices, rotations, shifts, batch = data
    start = perturbed(rotations, shifts, degrees=12.0, pixels=1.0)
    options = {"padding": PADDING, "steps": 8}
    judged, unjudged = (refine_poses(lattices, batch, *start, **options, judge_all=each) for each in (True, False))
    assert float(rotation_distance(judged[0], unjudged[0]).max()) < 0.1
    assert float(rotation_distance(unjudged[0], rotations).median()) < 0.1


def test_rotations_alone(data):
    lattices, rotations, shifts, batch = data
    images = Projector(points=batch.points, extent=EXTENT, padding=PADDING)(lattices[0], rotations, None, batch.ctf)
    batch = make_batch(images, batch.ctf, batch.points)
    start, _ = perturbed(rotations, shifts, degrees=5.0, pixels=0.0)
    found, places, _ = refine(lattices, batch, start, None, steps=8)
    assert places is None
    assert float(rotation_distance(found, rotations).median()) < 0.1


def exact_images(density: Tensor, rotations: Tensor, shifts: Tensor, ctf: Tensor, points: Tensor) -> Tensor:
    """`(b, p)` noise-free images in float64, as plain sums over the map's voxels (no lattice, no interpolation)."""
    line = (torch.arange(BOX, dtype=torch.float64) - BOX // 2) / BOX
    where = points.double() @ rotations[:, :2]
    x, y, z = (torch.exp(-2j * torch.pi * where[..., axis, None] * line) for axis in range(3))
    slices = torch.einsum("zyx,bpx,bpy,bpz->bp", density.to(x.dtype), x, y, z)
    return slices * ctf * torch.exp(2j * torch.pi * (shifts @ points.double().T) / EXTENT)


def test_derivatives_against_finite_differences(make_phantom):
    padding, density = 4, make_phantom(BOX).double()
    lattices = lattices_of(density, padding)
    generator = torch.Generator().manual_seed(2)
    rotations = random_rotations(5, generator).double()
    shifts = 8 * torch.randn(5, 2, generator=generator, dtype=torch.float64)
    points = half_plane(BOX)
    ctf = torch.cos(0.4 * points.double().norm(dim=-1)).expand(5, -1)
    image, derivatives = pose_refinement._model(lattices, rotations, shifts, ctf, points, padding, EXTENT)
    expected = exact_images(density, rotations, shifts, ctf, points)
    assert float((image - expected).norm() / expected.norm()) < 0.005
    for parameter in range(5):
        change = 1e-5 * torch.eye(5, dtype=torch.float64)[parameter]
        there, back = (
            exact_images(
                density, exponential_map(sign * change[:3]) @ rotations, shifts + sign * change[3:], ctf, points
            )
            for sign in (1, -1)
        )
        slope = (there - back) / 2e-5
        assert float((derivatives[:, parameter] - slope).norm() / slope.norm()) < 0.01


def test_more_steps_never_make_it_worse(data):
    """Also where the start is far off: a step that makes it worse is taken back."""
    lattices, rotations, shifts, batch = data
    start, moved = perturbed(rotations, shifts, degrees=25.0, pixels=3.0)
    before = None
    for steps in range(1, 8):
        found, places, errors = refine(lattices, batch, start, moved, steps=steps)
        model = Projector(points=batch.points, extent=EXTENT, padding=PADDING)(lattices[0], found, places, batch.ctf)
        expected = ((batch.images - model).abs().square() * batch.weights).sum(-1)
        torch.testing.assert_close(errors, expected, rtol=1e-3, atol=1e-2)
        assert before is None or bool((errors <= before).all())
        before = errors
        if steps == 1:
            assert torch.equal(found, start)
            assert torch.equal(places, moved)


def test_a_step_that_fails_is_tried_again_shorter(data, monkeypatch):
    """Every first step is made to fail: the particles stay at their pose, and go on from there with more damping."""
    lattices, rotations, shifts, batch = data
    start, moved = perturbed(rotations, shifts, degrees=5.0, pixels=0.5)
    plain, calls = pose_refinement._damped_step, []

    def too_far(normal, slope, damping):
        step = plain(normal, slope, damping)
        calls.append(damping)
        return step if len(calls) > 1 else 20 * step

    monkeypatch.setattr(pose_refinement, "_damped_step", too_far)
    after = {}
    for steps in (2, 3, 8):
        calls.clear()
        after[steps], _, _ = refine(lattices, batch, start, moved, steps=steps)
    stayed = (after[2] == start).flatten(1).all(1)
    assert int(stayed.sum()) > 30
    assert bool((calls[1][stayed] > calls[0][stayed]).all())  # more damping
    assert not bool((after[3][stayed] == start[stayed]).flatten(1).all(1).any())
    assert float(rotation_distance(after[8], rotations)[stayed].median()) < 0.5


def test_poses_at_their_optimum_are_looked_at_once(data, monkeypatch):
    """And so is each part of the particles by itself, with the same outcome."""
    lattices, rotations, shifts, batch = data
    start, moved = perturbed(rotations, shifts, degrees=5.0, pixels=0.5)
    start[::2], moved[::2] = rotations[::2], shifts[::2]
    plain, looked = pose_refinement._model, []

    def counted(lattices, rotations, *others):
        looked.append(len(rotations))
        return plain(lattices, rotations, *others)

    monkeypatch.setattr(pose_refinement, "_model", counted)
    whole = refine(lattices, batch, start, moved, steps=8)
    assert looked[:2] == [40, 20]
    assert torch.equal(whole[0][::2], start[::2])
    assert sum(looked) < 40 + 20 * 7
    monkeypatch.setattr(pose_refinement, "CPU_REFINED_COEFFICIENTS", 7 * len(batch.points))
    looked.clear()
    parts = refine(lattices, batch, start, moved, steps=8)
    assert max(looked) == 7
    for found, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(found, expected)
