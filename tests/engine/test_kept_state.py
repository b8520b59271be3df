"""State is saved and loaded by its fields: nothing is forgotten, nothing is shared, and other states are refused."""

import dataclasses
import io
from dataclasses import dataclass, field
from enum import Enum

import pytest
import torch
from torch import Tensor

from napari_cryospin.engine.auto_decoding import DecodingState
from napari_cryospin.engine.band_growth import BandGrowth
from napari_cryospin.engine.bands import Band
from napari_cryospin.engine.class_decoding import ClassMaps
from napari_cryospin.engine.expectation_maximisation import EMState
from napari_cryospin.engine.kept_state import CONSTANT, KeptState
from napari_cryospin.engine.mates import MateTally
from napari_cryospin.engine.near_symmetry import NearSymmetries
from napari_cryospin.engine.noise import Noise
from napari_cryospin.engine.particle_state import ParticleState
from napari_cryospin.engine.phases import DecodingStanding, Phase
from napari_cryospin.engine.pose_steps import PoseMoments
from napari_cryospin.engine.run_progress import RunProgress
from napari_cryospin.engine.sought_symmetry import SoughtSymmetry
from napari_cryospin.engine.switching import SwitchAdvice, SwitchAdvisor
from napari_cryospin.engine.symmetry_watch import SymmetryWatch
from napari_cryospin.geometry.symmetry import NO_SYMMETRY
from support.same_state import assert_same

COUNT = 5


def particles(seed: int) -> ParticleState:
    generator = torch.Generator().manual_seed(seed)
    state = ParticleState.of(torch.rand(COUNT, 3, 3, generator=generator), torch.arange(COUNT) % 2, heads=2)
    for name in ("shifts", "error", "entropy", "candidates", "candidate_shifts"):
        getattr(state, name).copy_(torch.rand(getattr(state, name).shape, generator=generator))
    state.winner[:] = state.best_head[:] = seed
    return state


def moments(seed: int) -> PoseMoments:
    made = PoseMoments.none(COUNT)
    made.step(torch.arange(COUNT), torch.rand(COUNT, 5) + seed, torch.ones(5))
    return made


def progress(seed: int) -> RunProgress:
    made = RunProgress(step=seed, epoch=2, switched_at=1, resolution=float("nan"), advice=SwitchAdvice(True, "ready"))
    made.symmetry = SymmetryWatch(2, "looks like D7 (1.00)")
    made.sought = SoughtSymmetry("C3", 1, 2, free_errors=torch.ones(3))
    made.queue = [(0, torch.arange(3)), (1, torch.arange(2))]
    made.count({"loss": 2.0})
    return made


TESTING = DecodingStanding(Phase.TESTING_MATES, 14, 20, 5, True)
NOISE = torch.ones(2, 4), torch.zeros(9), torch.zeros(5, dtype=torch.long)
STATES = {
    "Band": (Band(7, 14, 15), Band(4, 11, 15)),
    "BandGrowth": (BandGrowth(None, [0.9, 0.8]), BandGrowth(None)),
    "Noise": (Noise(*NOISE, torch.rand(2, 4)), Noise.of(*NOISE)),
    "NearSymmetries": (NearSymmetries(torch.rand(2, 3, 3)), NearSymmetries.of(NO_SYMMETRY)),
    "ParticleState": (particles(1), particles(2)),
    "PoseMoments": (moments(1), PoseMoments.none(COUNT)),
    "MateTally": (MateTally(True, 3, 2.5), MateTally()),
    "DecodingState": (
        DecodingState(DecodingStanding(Phase.TESTING_MATES, 14, 20, 5, True), [0.5], offered=1, mates_sorted=True),
        DecodingState(DecodingStanding(Phase.SEARCHING, 11, 11)),
    ),
    "EMState": (EMState(14, torch.rand(3, 3), [2.5, 2.0], 30, settled=True), EMState(6)),
    "ClassMaps": (ClassMaps(torch.rand(4, 3, 3, 3), torch.rand(2, 2, 2)), ClassMaps()),
    "SwitchAdvisor": (SwitchAdvisor(None, [0.3, 0.6]), SwitchAdvisor(None)),
    "SymmetryWatch": (SymmetryWatch(4, "looks like C3 (0.98)"), SymmetryWatch()),
    "SoughtSymmetry": (
        SoughtSymmetry(
            "O", 2, 1, "start 2", band=11, free_errors=torch.rand(4), best_errors=torch.rand(4), best={"a": 1}
        ),
        SoughtSymmetry("O"),
    ),
    "RunProgress": (progress(9), RunProgress()),
}


def read_back(state: dict) -> dict:
    """A state as it comes from a file that may hold no code."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_all_kept_states_are_tried():
    assert {kind.__name__ for kind in KeptState.__subclasses__()} - {"Example"} == set(STATES)


@pytest.mark.parametrize("name", STATES)
def test_a_round_trip_keeps_every_field_and_shares_no_memory(name):
    first, second = STATES[name]
    state = read_back(first.state_dict())
    second.load_state_dict(state)
    for one in dataclasses.fields(first):
        found, expected = getattr(second, one.name), getattr(first, one.name)
        assert type(found) is type(expected)
        if not one.metadata.get("constant") and not dataclasses.is_dataclass(found):
            assert_same(found, expected, one.name)
        if isinstance(found, Tensor) and not one.metadata.get("constant"):
            assert found.data_ptr() != state[one.name].data_ptr()
    assert_same(second.state_dict(), first.state_dict())


def test_lists_are_not_shared_either():
    whole, other = progress(3), RunProgress()
    other.load_state_dict(whole.state_dict())
    whole.queue.clear()
    whole.count({"loss": 9.0})
    assert (len(other.queue), other.means) == (2, {"loss": 2.0})


def test_nested_dataclasses_and_enums_come_back_as_they_were():
    assert STATES["DecodingState"][1].standing == TESTING
    assert STATES["RunProgress"][1].advice == SwitchAdvice(True, "ready")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Example(KeptState):
    size: int = field(metadata=CONSTANT)
    colour: Colour = Colour.RED
    values: Tensor | None = None


def test_constants_are_not_kept_and_plain_types_are_written():
    example = Example(3, Colour.BLUE, torch.ones(2))
    assert set(example.state_dict()) == {"colour", "values"}
    assert example.state_dict()["colour"] == "blue"
    other = Example(8)
    other.load_state_dict(example.state_dict())
    assert (other.size, other.colour) == (8, Colour.BLUE)


@pytest.mark.parametrize("state", [{"colour": "blue"}, {"colour": "blue", "values": None, "taste": 1}])
def test_a_state_with_other_fields_is_refused_and_changes_nothing(state):
    example = Example(3)
    with pytest.raises(KeyError, match=r"state of Example: found colour.*expected colour, values"):
        example.load_state_dict(state)
    assert example == Example(3)
