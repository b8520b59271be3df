"""A method of one row and one class: guesses instead of heads."""

from collections.abc import Iterator

import pytest
import torch

from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.methods import Method, register, unregister
from napari_cryospin.engine.proposers import Proposal, Proposer
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.methods import MethodDescription


class Guess(Proposer):
    """Three random rotations a particle, without shift."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit

    def propose(self, batch: Batch) -> Proposal:
        rotations = random_rotations(3 * len(batch), self.fit.generator).reshape(-1, 3, 3, 3)
        return Proposal(rotations, torch.zeros(len(batch), 3, 2))


GUESSING = MethodDescription(name="guessing", help="the best of three guesses", uses_encoder=False)


@pytest.fixture
def guessing() -> Iterator[Method]:
    """The method, which is in the table for as long as a test lasts."""
    method = Method(description=GUESSING, proposers=lambda fit: [Guess(fit)])
    register(method)
    yield method
    unregister("guessing")
