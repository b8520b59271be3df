"""Images of several pixel sizes and boxes brought to one."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cryospin.checks.preflight import preflight
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.particles import Particles
from napari_cryospin.physics.fourier import fourier_crop
from napari_cryospin.settings import PreparationSettings, Settings


def embedded(density: Tensor, box: int) -> Tensor:
    """The map in a larger box, or its middle."""
    margin = (box - density.shape[-1]) // 2
    return torch.nn.functional.pad(density, (margin,) * 6)


def join(*parts: Particles) -> Particles:
    """One set of several, each with a stack of its own."""
    joined = {"stacks": tuple(Path(f"stack_{i}") for i in range(len(parts)))}
    for field in ("slice_index", "box_sizes", "pixel_sizes", "contrast", "rotations", "shifts"):
        joined[field] = np.concatenate([getattr(part, field) for part in parts])
    joined["stack_index"] = joined["optics_groups"] = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    names = [field.name for field in dataclasses.fields(parts[0].ctf)]
    ctf = {name: np.concatenate([getattr(part.ctf, name) for part in parts]) for name in names}
    stacks = {Path(f"stack_{i}"): part.open_stack(None) for i, part in enumerate(parts)}
    changes = {"ctf": dataclasses.replace(parts[0].ctf, **ctf), "open_stack": stacks.__getitem__}
    return dataclasses.replace(parts[0], **joined, **changes)


@pytest.fixture
def parts(make_phantom, simulate):
    """The same 12 particles (poses, CTFs) three times: 32 px of 3 A, 48 px of 2 A, 48 px of 3 A."""
    settings = {"count": 12, "snr": 400.0, "seed": 3, "shift_sd": 3.0}
    wide = embedded(make_phantom(32), 48)
    return (
        simulate(make_phantom(32), **settings).particles,
        simulate(make_phantom(48), **settings).particles,
        simulate(wide, extent=144.0, **settings).particles,
    )


def prepare(particles: Particles, **settings) -> PreparedImages:
    return PreparedImages(particles, PreparationSettings(**settings), torch.arange(len(particles)))


def test_the_same_particles_agree(parts):
    first = parts[0].select(np.r_[:12, :12])  # the most frequent kind decides
    prepared = prepare(join(first, *parts[1:]))
    assert (prepared.box_size, prepared.extent) == (32, 96.0)
    coefficients = prepared.coefficients(torch.arange(48)).reshape(4, 12, -1)
    assert torch.equal(coefficients[0], coefficients[1])
    for other in coefficients[2:]:
        product = (coefficients[0] * other.conj()).sum(-1).real
        alike = product / (coefficients[0].norm(dim=-1) * other.norm(dim=-1))
        assert float(alike.min()) > 0.98
    factors = prepared.ctf(torch.arange(48)).reshape(4, 12, -1)
    assert torch.equal(factors[0], factors[3])


def test_grey_values_and_place_are_kept(parts):
    """By the general way, images of another field of view, and by Fourier cropping where it is the same."""
    prepared = prepare(parts[0])
    large = torch.from_numpy(parts[1].read_images(range(12)))
    same = prepared._cropped(large, 48, 2.0)
    torch.testing.assert_close(same, fourier_crop(large, 32))
    prepared.extent *= 1 + 1e-4  # a field of view that differs, but by nothing
    prepared.pixel_size *= 1 + 1e-4
    other = prepared._cropped(large, 48, 2.0)
    assert float((other - same).abs().max()) < 0.02 * float(same.std())


@pytest.mark.parametrize(("box", "pixel_size", "tolerance"), [(48, 3.0, 0.06), (48, 2.0, 0.06), (28, 3.0, 0.15)])
def test_noise_of_another_field_of_view_stays_noise(box, pixel_size, tolerance, make_phantom, simulate):
    """Neither wrapped around from outside the working box, nor diluted by what a smaller image does not show."""
    rng = np.random.default_rng(0)
    usual = simulate(make_phantom(32), count=120, snr=1.0).particles
    noise = rng.standard_normal((100, box, box), dtype=np.float32)
    fields = {"box_sizes": np.full(100, box), "pixel_sizes": np.full(100, pixel_size)}
    other = dataclasses.replace(usual.select(np.arange(100)), open_stack=lambda path: noise, **fields)
    prepared = prepare(join(usual, other))
    images = prepared.normalised(torch.arange(220))
    assert float(images[120:, 10:22, 10:22].square().mean()) == pytest.approx(1, abs=tolerance)
    usual_background = images[:120] * (1 - prepared.mask)
    assert float(usual_background.square().sum() / (120 * (1 - prepared.mask).square().sum())) == pytest.approx(
        1, abs=0.05
    )


def test_the_coarsest_pixels_set_the_box(parts, make_phantom, simulate):
    coarse = simulate(make_phantom(24), count=5, snr=10.0).particles  # 4 A
    both = join(parts[1], coarse)  # 2 A
    prepared = prepare(both)
    assert (prepared.box_size, prepared.pixel_size, prepared.extent) == (24, 4.0, 96.0)
    assert preflight(both, Settings()).working_box == 24
    with pytest.raises(ValueError, match="box 48 px is larger than the particles' 24 px"):
        prepare(both, box=48)
