"""All volumes keep to the protocol: the rest of the engine may ask each of them the same questions."""

import copy
import inspect

import pytest
import torch

from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.models.implicit_volume import ImplicitVolume
from napari_cryospin.models.volume import BAND_MARGIN, Volume
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.fourier import hartley_to_map
from napari_cryospin.physics.slicing import crop_lattice
from support.same_state import assert_same

BOX, PADDING, BAND = 16, 2, 4


def make(kind: str, seed: int = 0) -> Volume:
    generator = torch.Generator().manual_seed(seed)
    if kind in ("hartley", "plain"):
        return HartleyVolume(BOX, PADDING, first_band=BAND, plain=kind == "plain", generator=generator)
    if kind == "implicit":
        torch.manual_seed(seed)
        return ImplicitVolume(BOX, PADDING, first_band=BAND)
    volume = WienerVolume(BOX, PADDING, first_band=BAND, mask_radius=0.48, generator=generator)
    volume.sums.copy_(torch.rand(volume.sums.shape, generator=generator))
    volume.solve()
    return volume


@pytest.fixture(params=["hartley", "plain", "implicit", "wiener"])
def kind(request) -> str:
    return request.param


def test_every_member_is_there_with_the_protocols_parameters(kind):
    volume = make(kind)
    members = {name for name in vars(Volume) if not name.startswith("_")}
    assert members >= {
        "hartley",
        "slices",
        "set_band",
        "to_map",
        "band_map",
        "fold_maps",
        "gradient_lattices",
        "state_dict",
    }
    for name in members - {"state_dict", "load_state_dict"}:
        theirs, ours = (inspect.signature(getattr(owner, name)).parameters for owner in (type(volume), Volume))
        assert list(theirs)[: len(ours)] == list(ours), name
        assert all(theirs[extra].default is not inspect.Parameter.empty for extra in list(theirs)[len(ours) :]), name
    assert (volume.box_size, volume.padding, volume.band) == (BOX, PADDING, BAND)


def test_maps_and_lattices(kind):
    volume = make(kind)
    for filtered in (True, False):
        assert volume.to_map(filtered=filtered).shape == (BOX,) * 3
    assert volume.band_map().shape == (2 * (BAND + BAND_MARGIN),) * 3
    lattices = volume.gradient_lattices()
    assert lattices.shape[0] == 4
    assert not lattices.requires_grad
    with torch.no_grad():
        whole = volume.hartley()
        torch.testing.assert_close(volume.hartley(2), crop_lattice(whole, 2, PADDING), atol=1e-6, rtol=0)
    inner = (lattices.shape[-1] - 1) // PADDING
    own = volume.density if kind == "wiener" else volume.to_map()
    torch.testing.assert_close(hartley_to_map(lattices[0], inner), own, atol=1e-5 * float(own.abs().max()), rtol=1e-4)


def test_folds_or_none(kind):
    folds = make(kind).fold_maps()
    if kind != "wiener":
        assert folds is None
    else:
        assert [part.shape for part in folds] == [(2 * (BAND + BAND_MARGIN),) * 3] * 2


def test_questions_change_nothing(kind):
    volume = make(kind)
    before = copy.deepcopy(volume.state_dict())
    volume.hartley(), volume.to_map(), volume.to_map(filtered=False), volume.band_map(), volume.fold_maps()
    volume.gradient_lattices()
    assert_same(dict(volume.state_dict()), dict(before))


def test_a_state_brings_back_map_and_band(kind):
    first, second = make(kind), make(kind, seed=1)
    first.set_band(6)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.band == 6
    assert torch.equal(first.to_map(), second.to_map())
    assert torch.equal(first.band_map(), second.band_map())
