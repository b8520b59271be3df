"""The judgement on a run: from what is known of its poses to a verdict with reasons and with what to try next.

The thresholds come from the runs of docs/verdict.md, of which it is known whether they are right.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from napari_cryospin.runs.verdict import Verdict, VerdictKind

FLAT = 0.5
"""Median entropy of the posteriors, as a share of its largest value, from which they count as flat. Poses that 24 equal
mates share, as in an octahedral molecule, have 0.38 on the finer grid."""
TELLING_GAIN = 3.0
"""Gain of the map over a scrambled one, nats, from which an image tells the two apart."""
LEAST_TOLD_APART = 0.7
"""Share of the images that have to tell the map from a scrambled one."""
LEAST_FOUND_AGAIN = 0.8
"""Share of the images whose pose has to be found again in a map made without them."""
LEAST_HEADS_AGREE = 0.5
"""Share of the particles whose nearest head has to agree with their pose."""
MUCH_UNEXPLAINED = 1.15
"""Error over noise from which the map leaves far more unexplained than noise. Noise that is stronger within the
particle than around it raises the error too: right runs had up to 1.05."""
MOVING = 3.0
"""Mean turn of the poses in the last epoch, degrees, from which they have not settled."""
DARK = -0.3
"""Skewness of a map's densities below which the protein is darker than its surroundings."""
WRONG_SIGN = 3.0
"""Median lead of the opposite sign of the defocus, nats, from which the given sign is wrong."""
MATE_CONFIRMED = 0.25
"""Share of the map's difference between mates that images confirm, below which the map is as good as symmetric, and
mates are one pose. Hsp90, half of whose particles were at the wrong mate, had 0.36 to 0.61. An exactly threefold spike,
whose particles had been sorted among its copies by chance, had 0.34: this number does not tell these apart. Both are
ambiguous."""
SURE_MATES = 12.0
"""Median lead of the better of a pose and its mate, nats, from which they are told apart."""
BROKEN_SYMMETRY = 5.0
"""Standard errors by which images have to contradict a symmetry before it is called broken (docs/method.md,
Near-symmetries)."""
MATE_BETTER = 0.1
"""Share of the images from which mates that explain them better than their poses do are no exception."""

NAN = math.nan
ANOTHER_SEED, MORE_PARTICLES = "another seed", "more particles"
OTHER_BANDS = "other resolutions"
SYMMETRY = "the molecule's symmetry, if it has one"
LESS_SYMMETRY = "a lower symmetry, or none"
ALIKE = "fewer particles that are more alike (a 2D or 3D classification elsewhere)"
DEFOCUS_SIGN = "a look at the sign of the defocus in the input (underfocus is positive)"
SIGN = "inverting the contrast, and a look at the sign of the defocus"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a run; nan: not known.

    Attributes
    ----------
    finished : bool
        Whether the run is over.
    symmetric : bool
        Whether the map was given a symmetry.
    entropy : float
        Median entropy of the posteriors over rotations under the run's own map, as a share of its largest value.
    heads_agree : float
        Share of the particles whose nearest head agrees with their pose.
    turn : float
        Mean turn of the poses in the last epoch, degrees.
    error_over_noise : float
        Mean error of the images at their poses, over that of the noise of their background.
    halves_agree : bool, optional
        Whether the half maps could be laid on each other; None: there are none, or they were not compared.
    held_out_entropy : float
        As `entropy`, of a sample of the particles in maps that were made without them.
    gain : float
        Median gain in log-evidence of these maps over scrambled ones, nats.
    told_apart : float
        Share of the sample whose gain is at least `TELLING_GAIN`.
    found_again : float
        Share of the sample whose pose was found again, at its own place or turned as those of many others.
    mate_lead : float
        Median lead of the better of a pose and its commonest mate over the other, nats; nan where there is no mate.
    mate_better : float
        Share of the sample whose mate explains the image better than the pose does.
    mate_confirmed : float
        Lead of the poses over their mates, as a share of what the difference of the map's own images there promises.
    sign_lead : float
        Median lead of the CTF over the one with the opposite sign of the defocus, nats; nan where there is no CTF.
    symmetry_lag : float
        By how much images fitted the symmetric map worse than one without, nats each, where that was clear when the
        symmetry was imposed; nan otherwise.
    symmetry_broken : float
        Standard errors by which images contradict the symmetry that the map was given; nan where it has none, or more
        copies than are compared.
    skewness : float
        Of the map's densities.
    """

    finished: bool = False
    symmetric: bool = False
    entropy: float = NAN
    heads_agree: float = NAN
    turn: float = NAN
    error_over_noise: float = NAN
    halves_agree: bool | None = None
    held_out_entropy: float = NAN
    gain: float = NAN
    told_apart: float = NAN
    found_again: float = NAN
    mate_lead: float = NAN
    mate_better: float = NAN
    mate_confirmed: float = NAN
    sign_lead: float = NAN
    symmetry_lag: float = NAN
    symmetry_broken: float = NAN
    skewness: float = NAN


@dataclass(frozen=True)
class _Fault:
    """A reason why something is not determined, and what to try against it."""

    reason: str
    next_steps: tuple[str, ...]


def judge_run(evidence: Evidence) -> Verdict:
    """Judge a run by what is known of it; what is not known speaks neither for nor against it."""
    numbers = {name: None if value is None else float(value) for name, value in asdict(evidence).items()}
    found = _faults(evidence)
    if found:
        return _verdict("not determined", found, numbers)
    if evidence.symmetry_broken >= BROKEN_SYMMETRY:
        return _verdict("ambiguous", [_symmetry_broken(evidence.symmetry_broken)], numbers)
    if evidence.mate_confirmed >= MATE_CONFIRMED and not _mates_told_apart(evidence):
        return _verdict("ambiguous", [_mates_alike(evidence)], numbers)
    if not evidence.finished:
        return Verdict(kind="open", reasons=("nothing speaks against the poses so far",), evidence=numbers)
    return Verdict(kind="converged", reasons=_in_favour(evidence), evidence=numbers)


def _verdict(kind: VerdictKind, found: list[_Fault], numbers: dict[str, float | None]) -> Verdict:
    """Join reasons and next steps; a step is named once, however many reasons ask for it."""
    steps = dict.fromkeys(step for fault in found for step in fault.next_steps)
    if numbers["symmetric"]:
        steps.pop(SYMMETRY, None)
    return Verdict(kind=kind, reasons=tuple(fault.reason for fault in found), next_steps=tuple(steps), evidence=numbers)


def _faults(known: Evidence) -> list[_Fault]:
    """List all that speaks against the poses."""
    held_out = not math.isnan(known.held_out_entropy)
    entropy = known.held_out_entropy if held_out else known.entropy
    faults = (
        (entropy > FLAT, _flat(entropy)),
        (known.told_apart < LEAST_TOLD_APART, _not_told_apart(known)),
        (known.found_again < LEAST_FOUND_AGAIN, _not_found_again(known.found_again)),
        (known.halves_agree is False, HALVES_DIFFER),
        (known.skewness < DARK, DARK_PROTEIN),
        (known.sign_lead < -WRONG_SIGN, _wrong_sign(-known.sign_lead)),
        (known.error_over_noise > MUCH_UNEXPLAINED, _unexplained(known.error_over_noise)),
        (known.symmetry_lag > 0, _symmetry_lags(known.symmetry_lag)),
        (known.finished and known.turn > MOVING, _moving(known.turn)),
        (known.heads_agree < LEAST_HEADS_AGREE, _heads_apart(known.heads_agree)),
    )
    return [fault for holds, fault in faults if holds]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if math.isfinite(share) else "unknown"


def _flat(entropy: float) -> _Fault:
    text = f"the images leave most poses open (posterior entropy {_percent(entropy)} of its largest value)"
    return _Fault(text, (MORE_PARTICLES, OTHER_BANDS, SYMMETRY))


def _not_told_apart(known: Evidence) -> _Fault:
    text = f"only {_percent(known.told_apart)} of the images tell the map from a scrambled copy of it"
    return _Fault(text, (ANOTHER_SEED, ALIKE, MORE_PARTICLES))


def _not_found_again(share: float) -> _Fault:
    text = f"only {_percent(share)} of the poses are found again in a map of the other particles"
    return _Fault(text, (ANOTHER_SEED, MORE_PARTICLES))


def _unexplained(error: float) -> _Fault:
    text = f"the images differ from the map by {100 * (error - 1):.0f} % more than the noise of their background"
    return _Fault(text, (ANOTHER_SEED, MORE_PARTICLES, ALIKE))


def _symmetry_lags(lag: float) -> _Fault:
    text = f"images fitted a map without the symmetry better, by {lag:.1f} nats each, when it was imposed"
    return _Fault(text, (LESS_SYMMETRY, ANOTHER_SEED))


def _moving(turn: float) -> _Fault:
    text = f"the planned epochs were used up while poses still turned by {turn:.1f} degrees an epoch"
    return _Fault(text, ("more epochs", ANOTHER_SEED))


def _heads_apart(share: float) -> _Fault:
    text = f"the heads' proposals agree with the poses of only {_percent(share)} of the particles"
    return _Fault(text, ("more epochs before the switch", ANOTHER_SEED))


HALVES_DIFFER = _Fault("the maps of the two half sets do not agree", (ANOTHER_SEED, MORE_PARTICLES))
DARK_PROTEIN = _Fault("the map is darker than its surroundings, so contrast or CTF have the wrong sign", (SIGN,))


def _wrong_sign(lead: float) -> _Fault:
    return _Fault(f"the images fit better by {lead:.0f} nats with the opposite sign of the defocus", (DEFOCUS_SIGN,))


def _mates_told_apart(known: Evidence) -> bool:
    return known.mate_lead >= SURE_MATES and known.mate_better < MATE_BETTER


def _mates_alike(known: Evidence) -> _Fault:
    text = (
        f"the map looks nearly the same after a turn, and images do not tell for certain which way they lie "
        f"({known.mate_lead:.0f} nats between a pose and its mate, the mate better for {_percent(known.mate_better)})"
    )
    return _Fault(text, (MORE_PARTICLES, ANOTHER_SEED, SYMMETRY))


def _symmetry_broken(certainty: float) -> _Fault:
    text = (
        f"the symmetry that the map was given is not exact: the images tell its copies apart, by {certainty:.0f} "
        f"standard errors, so that the map is an average of different sides"
    )
    return _Fault(text, (LESS_SYMMETRY,))


def _in_favour(known: Evidence) -> tuple[str, ...]:
    """Say what speaks for the poses of a run that is over."""
    reasons = []
    if math.isfinite(known.told_apart):
        reasons.append(f"{_percent(known.told_apart)} of the images tell the map from a scrambled copy of it")
    if known.mate_confirmed < MATE_CONFIRMED and not _mates_told_apart(known):
        reasons.append(
            "the map looks the same after a turn, and poses are known up to that turn; if the molecule has no such "
            "symmetry, its sides are averaged"
        )
    if math.isfinite(known.found_again):
        reasons.append(f"{_percent(known.found_again)} of the poses are found again in a map of the other particles")
    return tuple(reasons)
