"""FourierNet: the field of cryoAI, against the networks written out, and the sizes of its paper."""

import numpy as np
import pytest
import torch

from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.geometry.symmetry import point_group
from napari_cryospin.models.encoder import Encoder
from napari_cryospin.models.fourier_net import FourierNet, SineNetwork
from napari_cryospin.models.implicit_volume import ImplicitVolume
from napari_cryospin.physics.fourier import half_plane
from napari_cryospin.physics.slicing import central_slices

BOX = 16


@pytest.fixture
def net() -> FourierNet:
    torch.manual_seed(3)
    return FourierNet().double()


def count(*modules: torch.nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_sizes_are_those_of_the_papers_second_table():
    """All weights and biases of trunk, head and decoder: 5.09 million with the implicit one, 9.05 with the explicit."""
    encoder = Encoder(128, heads=1, trunk="vgg16", max_shift=20.0, half_turned=True)
    assert count(FourierNet()) == pytest.approx(0.33e6, rel=0.01)
    assert count(encoder, ImplicitVolume(128, first_band=63)) == pytest.approx(5.09e6, rel=0.05)
    assert count(encoder) + 2 * 129**3 == pytest.approx(9.05e6, rel=0.05)


def written_out(network: SineNetwork, place: np.ndarray, frequency: float) -> np.ndarray:
    values = place
    layers = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in network.layers]
    for weight, bias in layers[:-1]:
        values = np.sin(frequency * (weight @ values + bias))
    return layers[-1][0] @ values + layers[-1][1]


def test_field_is_mantissa_times_exponential(net):
    """Layers and frequencies of cryoAI's code; a place with x < 0 is read at its mate, and conjugated."""
    for place in ([0.3, -0.2, 0.5], [-0.3, 0.2, -0.5], [0.0, -0.4, 0.1], [0.0, 0.0, -0.7]):
        place = np.array(place)
        side = np.sign(place[np.flatnonzero(place)[0]])
        exponent = written_out(net.exponent, side * place, 30.0)
        real, imaginary = written_out(net.mantissa, side * place, 40.0) * np.exp(exponent)
        found = net(torch.from_numpy(place)[None]).detach().numpy()[0]
        assert found == pytest.approx(real + 1j * side * imaginary, rel=1e-9)
    assert [len(net.mantissa.layers), len(net.exponent.layers)] == [5, 4]


def test_field_has_friedel_symmetry(net):
    places = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    places[:20, 0], places[:10, 1], places[0] = 0, 0, 0
    field = net(places)
    torch.testing.assert_close(net(-places), field.conj(), rtol=1e-12, atol=0)
    assert field[0].imag == 0
    assert bool(field[1:].imag.any(0))


@pytest.mark.parametrize("symmetry", ["C1", "C3"])
def test_lattice_and_slices_are_the_same_field(symmetry):
    """Slices at lattice points are those of the lattice; a symmetric volume looks alike from all copies of a pose."""
    torch.manual_seed(1)
    volume = ImplicitVolume(BOX, first_band=5, symmetry=symmetry)
    points = half_plane(BOX, 5)
    with torch.no_grad():
        straight = torch.stack((torch.eye(3), torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])))
        torch.testing.assert_close(
            volume.slices(straight, points, 5), central_slices(volume.hartley(), straight, points), atol=1e-6, rtol=0
        )
        rotations = random_rotations(4, torch.Generator().manual_seed(0))
        slices = volume.slices(rotations, points, 5)
        for turn in point_group(symmetry).rotations(rotations):
            torch.testing.assert_close(volume.slices(rotations @ turn, points, 5), slices, atol=1e-5, rtol=0)
    assert volume.to_map().shape == (BOX,) * 3


def test_a_map_is_refused(make_phantom):
    volume = ImplicitVolume(BOX, first_band=4)
    assert not volume.takes_maps
    with pytest.raises(ValueError, match="an implicit volume cannot take over a map"):
        volume.take_map(make_phantom(BOX))
