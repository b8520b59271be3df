"""What is compared: molecules, sizes, and methods with their settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any


@dataclass(frozen=True)
class Scale:
    """Sizes of a comparison."""

    box: int
    count: int
    snr: float
    """At the box: SNR 0.1 at 128 px is about 0.4 at 64 px and 1.6 at 32 px."""
    seeds: int
    small: bool
    """Encoders and epochs for a CPU, instead of those of the papers."""
    molecules: tuple[str, ...] = ("hsp", "spike", "spliceosome")


SCALES = {
    "look": Scale(16, 200, 2.0, 1, small=True, molecules=("spliceosome",)),
    "cpu": Scale(32, 4000, 0.5, 3, small=True),
    "full": Scale(128, 50000, 0.1, 3, small=False),
}
SYMMETRIES = {"spike": "C3"}
"""Symmetry modulo which errors are measured; the others have none."""

ONE_HEAD = {"trunk": "small", "encoder_box": 32, "encoder_learning_rate": 1e-3, "first_band": 4, "growth_steps": 2000}


@dataclass(frozen=True)
class Contender:
    """A method with its preset, and what is changed for a CPU."""

    preset: str
    changes: dict[str, Any] = field(default_factory=dict)
    small: dict[str, Any] = field(default_factory=dict)
    small_preset: str = ""


CONTENDERS = {
    "quick": Contender("quick"),
    "cryospin": Contender("paper-synthetic", small_preset="paper-cpu"),
    "fully-amortized": Contender("paper-synthetic", {"method": "fully-amortized"}, small_preset="paper-cpu"),
    "search": Contender("quick", {"method": "search"}),
    "em": Contender("quick", {"method": "em"}),
    "cryoposenet": Contender("cryoposenet", small=ONE_HEAD | {"epochs": 80}),
    "cryoai": Contender("cryoai", small=ONE_HEAD | {"epochs": 80}),
    "cryoai-explicit": Contender("cryoai-explicit", small=ONE_HEAD | {"epochs": 80}),
    "hierarchical": Contender("hierarchical"),
    "known-poses": Contender("known-poses"),
}

PUBLISHED = {
    ("cryoSPARC", "hsp"): (6.23, 1.05),
    ("cryoSPARC", "spike"): (1.61, 1.51),
    ("cryoSPARC", "spliceosome"): (1.41, 1.36),
    ("cryoAI", "hsp"): (45.83, 61.86),
    ("cryoAI", "spike"): (2.52, 2.29),
    ("cryoAI", "spliceosome"): (2.85, 2.61),
    ("cryoSPIN", "hsp"): (3.27, 0.97),
    ("cryoSPIN", "spike"): (1.54, 0.90),
    ("cryoSPIN", "spliceosome"): (0.68, 0.61),
}
"""The paper's Table 1: rotation errors, mean and median, degrees, of 50,000 images of 128 px."""
PUBLISHED_COST = {
    "cryoSPIN, auto-encoding": (99.76, 3.39, 13.01),
    "cryoSPIN, auto-decoding": (81.61, 0.35, None),
    "fully amortized": (99.75, 3.39, 13.01),
    "cryoAI-explicit": (142.40, 3.07, 9.05),
    "cryoAI": (622.39, 16.83, 5.09),
}
"""The paper's Table 2, on one A40: seconds an epoch, GiB of encoder and decoder together, million parameters."""


@dataclass(frozen=True)
class Case:
    """One run."""

    method: str
    molecule: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.molecule}_{self.method}_{self.seed}"


def cases(scale: Scale, methods: list[str], seeds: int) -> list[Case]:
    """List the runs, seed by seed, so that an unfinished comparison has a run of every method."""
    return [Case(method, molecule, seed) for seed, molecule, method in product(range(seeds), scale.molecules, methods)]


def overrides(case: Case, scale: Scale) -> tuple[str, dict[str, Any]]:
    """Return the preset of a run and what is changed in it; all particles are centred, as in the paper."""
    contender = CONTENDERS[case.method]
    changes = contender.changes | (contender.small if scale.small else {})
    preset = contender.small_preset if scale.small and contender.small_preset else contender.preset
    return preset, changes | {"shifts": False, "seed": case.seed}
