"""The encoder: the paper's sizes, and heads that start apart."""

import pytest
import torch

from napari_cryospin.geometry.so3 import rotation_distance
from napari_cryospin.models.encoder import Encoder
from napari_cryospin.models.hartley_volume import HartleyVolume


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_sizes_are_the_papers():
    encoder = Encoder(128, heads=7, trunk="vgg16")
    volume = HartleyVolume(128, first_band=4)
    assert count(volume) == 2 * 129**3
    assert count(encoder.trunk) == pytest.approx(4.1e6, rel=0.05)
    assert count(encoder.pose) / 7 == pytest.approx(0.66e6, rel=0.05)
    assert count(encoder) == pytest.approx(8.72e6, rel=0.05)
    assert count(encoder) + count(volume) == pytest.approx(13.01e6, rel=0.05)


@pytest.mark.parametrize("trunk", ["small", "vgg16"])
@pytest.mark.parametrize("box", [16, 26, 32])
def test_every_head_gives_a_rotation_and_a_shift_in_range(trunk, box):
    torch.manual_seed(0)
    with torch.no_grad():
        rotations, shifts = Encoder(box, heads=3, trunk=trunk, max_shift=7.0)(torch.randn(4, box, box))
    assert rotations.shape == (4, 3, 3, 3)
    assert shifts.shape == (4, 3, 2)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand_as(rotations), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(4, 3), atol=1e-5, rtol=0)
    assert float(shifts.abs().max()) < 7
    assert float(shifts.abs().min()) > 0


def test_centred_particles_get_no_shift():
    _, shifts = Encoder(16, heads=2, trunk="small")(torch.randn(3, 16, 16))
    assert not shifts.any()


def test_heads_start_apart():
    torch.manual_seed(1)
    with torch.no_grad():
        rotations, _ = Encoder(32, heads=4, trunk="small")(torch.randn(20, 32, 32))
    between = rotation_distance(rotations[:, :, None], rotations[:, None])[:, *torch.triu_indices(4, 4, 1)]
    assert float(between.mean(0).min()) > 20


def test_a_heads_gradient_reaches_its_own_weights_and_the_trunk_alone():
    torch.manual_seed(2)
    encoder = Encoder(16, heads=3, trunk="small")
    encoder(torch.randn(4, 16, 16))[0][:, 1].square()[..., 0].sum().backward()
    moved = torch.stack([weight.grad.abs().flatten(1).sum(1) for weight in encoder.pose.weights])
    assert torch.equal(moved > 0, torch.tensor([[False, True, False]] * len(moved)))
    assert all(bool(parameter.grad.any()) for parameter in encoder.trunk.parameters())


def test_the_filter_bank_smooths_and_keeps_the_image_first():
    torch.manual_seed(3)
    images = torch.randn(5, 32, 32)
    kept = images.clone()
    channels = Encoder(32, heads=1, trunk="small").bank(images)
    assert torch.equal(images, kept)
    torch.testing.assert_close(channels[:, 0], images / images.std(), atol=1e-4, rtol=0)
    roughness = channels.diff(dim=-1).square().mean((0, 2, 3))
    assert bool((roughness.diff() < 0).all())
    torch.testing.assert_close(channels.std((0, 2, 3)), torch.ones(channels.shape[1]), atol=1e-3, rtol=0)


def test_state_dict_round_trip():
    torch.manual_seed(4)
    images = torch.randn(6, 16, 16)
    first, second = (Encoder(16, heads=2, trunk="small", max_shift=5.0) for _ in range(2))
    first(images)  # batch normalisation has a state as well
    second.load_state_dict(first.state_dict())
    first.eval()
    second.eval()
    for one, other in zip(first(images), second(images), strict=True):
        assert torch.equal(one, other)
