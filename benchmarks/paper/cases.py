"""What is compared: molecules, sizes, and methods with their settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any

CPU_BUDGET = 85 * 60.0
"""Seconds for all runs of the scale `cpu` together: 90 minutes on two cores, less 5 for the figures."""
CPU_LIMIT = 380.0
"""Seconds of a run of the scale `cpu`, the same for all methods: `CPU_BUDGET` for two runs at a time, shared by 33 runs
of which 12 end by themselves, less what comes with a run (start of the process, images, comparison with truth).
With 120 seconds and three molecules (docs/benchmarks.md) the paper's method did not come to its switch."""


@dataclass(frozen=True)
class Scale:
    """Sizes of a comparison."""

    name: str
    box: int
    count: int
    snr: float
    """At the box: SNR 0.1 at 128 px is about 0.4 at 64 px and 1.6 at 32 px."""
    seeds: int
    small: bool
    """Encoders and epochs for a CPU, instead of those of the papers."""
    molecules: tuple[str, ...] = ("hsp", "spike", "spliceosome")
    methods: tuple[str, ...] = ()
    """Methods that are run where none is named; empty: all."""
    limit: float | None = None
    """Seconds after which a run is ended, and stands with what it reached; None: it goes to its end."""
    jobs: int = 1
    """Runs at a time."""
    threads: int = 2
    """Threads of each."""

    @property
    def folder(self) -> str:
        """Name of the folder of its runs, which no other number of particles shares."""
        return f"{self.name}_{self.count}"

    def stem(self, molecule: str) -> str:
        """Return how the names of a molecule's particle files begin."""
        return f"{molecule}_{self.box}px_{self.count}"


SCALES = {
    scale.name: scale
    for scale in (
        Scale("look", 16, 200, 2.0, 1, small=True, molecules=("spliceosome",), limit=12, threads=1),
        Scale("cpu", 32, 2000, 1.6, 3, small=True, molecules=("spike",), limit=CPU_LIMIT, jobs=2, threads=1),
        Scale("full", 128, 50000, 0.1, 1, small=False, methods=("quick",)),
    )
}
SYMMETRIES = {"spike": "C3"}
"""Symmetry modulo which errors are measured; the others have none."""

FOR_CPU = {"trunk": "small", "encoder_box": 24, "encoder_learning_rate": 1e-3, "first_band": 4, "growth_steps": 700}
"""Encoder and band for one core: an epoch of 2,000 images of 32 px takes 4 to 6 s with 15 heads. With an encoder of
16 px the first stage of cryospin stood still at 50 degrees (one run), with 32 px an epoch takes half as long again."""
TO_THE_LIMIT = FOR_CPU | {"epochs": 1000}
"""One stage that goes on until the limit of time."""
TWO_STAGES = FOR_CPU | {"epochs": 76, "switch": 60}
"""Two stages that end before the limit of time: an epoch takes 5.6 s before the switch and 1.5 s after it, with another
run beside it (spike, one core each)."""


@dataclass(frozen=True)
class Contender:
    """A method with its preset, and what is changed for a CPU."""

    preset: str
    changes: dict[str, Any] = field(default_factory=dict)
    small: dict[str, Any] = field(default_factory=dict)
    small_preset: str = ""
    one_molecule: bool = False
    """It is run on the first molecule only."""


CONTENDERS = {
    "quick": Contender("quick"),
    "cryospin": Contender("paper-synthetic", small=TWO_STAGES, small_preset="paper-cpu"),
    "fully-amortized": Contender(
        "paper-synthetic", {"method": "fully-amortized"}, small=TO_THE_LIMIT, small_preset="paper-cpu"
    ),
    "search": Contender("quick", {"method": "search"}),
    "em": Contender("quick", {"method": "em"}),
    "cryoposenet": Contender("cryoposenet", small=TO_THE_LIMIT),
    "cryoai": Contender("cryoai", small=TO_THE_LIMIT),
    "cryoai-explicit": Contender("cryoai-explicit", small=TO_THE_LIMIT),
    "hierarchical": Contender("hierarchical", small={"growth_steps": 700}),
    "known-poses": Contender("known-poses"),
    "cryospin-4-heads": Contender(
        "paper-synthetic", {"heads": 4}, small=TWO_STAGES, small_preset="paper-cpu", one_molecule=True
    ),
}
"""Every method, and cryospin with the four heads of Fig. 5, 6 and 8."""

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


def cases(
    scale: Scale,
    methods: list[str] | None = None,
    molecules: list[str] | None = None,
    seeds: list[int] | None = None,
) -> list[Case]:
    """List the runs, seed by seed, so that an unfinished comparison has a run of every method."""
    methods = methods or [*(scale.methods or CONTENDERS)]
    chosen = molecules or [*scale.molecules]
    wanted = product(range(scale.seeds) if seeds is None else seeds, chosen, methods)
    return [
        Case(method, molecule, seed)
        for seed, molecule, method in wanted
        if molecule == chosen[0] or not CONTENDERS[method].one_molecule
    ]


def in_order(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was measured by molecule, method and seed."""
    molecules, methods = (list(names) for names in (SCALES["full"].molecules, CONTENDERS))
    return sorted(runs, key=lambda run: (molecules.index(run["molecule"]), methods.index(run["method"]), run["seed"]))


def overrides(case: Case, scale: Scale) -> tuple[str, dict[str, Any]]:
    """Return the preset of a run and what is changed in it; all particles are centred, as in the paper."""
    contender = CONTENDERS[case.method]
    changes = contender.changes | (contender.small if scale.small else {})
    preset = contender.small_preset if scale.small and contender.small_preset else contender.preset
    return preset, changes | {"shifts": False, "seed": case.seed}
