"""What is known of a run's poses, as the evidence for its verdict; of half sets the worse half counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.audit import FOUND_AGAIN, Audit, audit, told_apart
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.mate_sorting import symmetry_broken
from napari_cryospin.engine.pose_steps import GaussNewtonPoses
from napari_cryospin.engine.sampling import unit_size
from napari_cryospin.evaluation.verdict import Evidence
from napari_cryospin.geometry.so3 import rotation_distance

LEAST_AT_MATE = 0.05
"""Share of a sample that has to be found at the commonest mate for the map to count as nearly symmetric. On the grid,
an image is found at its mate by chance of how the grid lies: Hsp90 has 0.2 to 0.4 whether right or wrong."""
SHARED_TURN, MOST_SHARED_TURN = 0.02, 0.5
"""Share of a sample that has to have one turn in common for it to be no chance: of turns at random 0.2 % have. Of a
symmetric map, whose copies count as one pose, the share is as many times larger as it has copies, up to one half."""
LEAST_SHARING = 5
"""Particles that have to have one turn in common, however small the sample: of a hundred turns at random, one in five
has another one beside it."""
HIGHEST_IS_WORST = ("held_out_entropy", "mate_better", "symmetry_broken")
"""Findings of an audit of which a high value speaks against the poses."""
MAP_SPHERE = 0.4
"""Radius of the sphere in which the densities of a map are looked at, as a fraction of the box."""


def present_evidence(
    fits: Sequence[Fit],
    *,
    turn: float,
    heads_agree: float = math.nan,
    halves_agree: bool | None = None,
    symmetry_lag: float = math.nan,
) -> Evidence:
    """Collect what the run knows by itself, while it goes on.

    Parameters
    ----------
    fits : sequence of Fit
    turn : float
        Mean turn of the poses in the last epoch, degrees; nan: not known.
    heads_agree : float
        Share of the particles whose nearest head agrees with the posterior; nan: not known.
    halves_agree : bool, optional
        Whether the half maps could be laid on each other; None: not known.
    symmetry_lag : float
        By how much images fitted the symmetric map worse than one without, nats each; nan: not clearly, or not known.
    """
    entropy = _worst([_entropy(fit) for fit in fits], highest=True)
    symmetric = not fits[0].symmetry.trivial
    return Evidence(
        symmetric=symmetric,
        entropy=entropy,
        turn=turn,
        heads_agree=heads_agree,
        halves_agree=halves_agree,
        symmetry_lag=symmetry_lag,
    )


def final_evidence(fits: Sequence[Fit], present: Evidence, error_over_noise: float) -> Evidence:
    """Add to the present evidence what an audit of each fit finds once the run is over."""
    found = [summed_up(fit, audit(fit)) for fit in fits]
    worst: dict[str, Any] = {
        name: _worst([each[name] for each in found], highest=name in HIGHEST_IS_WORST) for name in found[0]
    }
    return dataclasses.replace(present, finished=True, error_over_noise=error_over_noise, **worst)


def _entropy(fit: Fit) -> float:
    return _median(fit.particles.entropy[fit.members]) / _largest_entropy(fit)


def summed_up(fit: Fit, found: Audit) -> dict[str, float]:
    """Sum up the audit of one fit: the findings by their names in `Evidence`."""
    own, at_mate = (rotation_distance(found.found, turn) < FOUND_AGAIN for turn in (torch.eye(3), found.mate))
    together = (rotation_distance(found.found[:, None], found.found[None]) < FOUND_AGAIN).sum(1)
    needed = max(LEAST_SHARING, min(SHARED_TURN * fit.symmetry.order, MOST_SHARED_TURN) * len(together))
    turned = bool((rotation_distance(found.mate, torch.eye(3)) > FOUND_AGAIN).item())
    has_mates = turned and float(at_mate.float().mean()) >= LEAST_AT_MATE
    near = (own | at_mate) & has_mates
    lead = found.mate_lead[near]
    return {
        "held_out_entropy": _median(found.entropy),
        "gain": _median(found.gain),
        "told_apart": told_apart(found.gain),
        "found_again": float((together >= needed).float().mean()),
        "mate_lead": _median(lead.abs()),
        "mate_better": float((lead < 0).float().mean()) if len(lead) else math.nan,
        "mate_confirmed": float(lead.sum() / found.mate_difference[near].sum()) if len(lead) else math.nan,
        "sign_lead": _median(found.sign_lead),
        "symmetry_broken": symmetry_broken(fit, GaussNewtonPoses(fit)),
        "skewness": map_skewness(fit.volume.to_map().detach().cpu().numpy()),
    }


def map_skewness(density: np.ndarray) -> float:
    """Compute the skewness of a map's densities within the sphere of its box; nan for an empty map."""
    n = len(density)
    line = np.arange(n) - n // 2
    inside = density[line[:, None, None] ** 2 + line[:, None] ** 2 + line**2 < (MAP_SPHERE * n) ** 2]
    spread = inside.std()
    return float(((inside - inside.mean()) ** 3).mean() / spread**3) if spread > 0 else math.nan


def _worst(values: list[float], *, highest: bool) -> float:
    known = [value for value in values if not math.isnan(value)]
    return (max if highest else min)(known, default=math.nan)


def _median(values: Tensor) -> float:
    known = values[~values.isnan()]
    return float(known.median()) if len(known) else math.nan


def _largest_entropy(fit: Fit) -> float:
    return math.log(unit_size(fit.band.now, fit.symmetry))
