"""The phases of the second stage in closed form: the task at the end of an epoch, and the next band.

::

    SEARCHING --> SETTLING --> TESTING_MATES --> GROWING

A fit starts in the first of these that its settings ask for; SETTLING and GROWING are part of every run.

* SEARCHING: the map relaxes at the band of the switch, and all particles are searched once more after each epoch.
* SETTLING: the map relaxes at the band of the switch.
* TESTING_MATES: the band grows as far as the test of mates compares; the test is made once the band suffices.
* GROWING: the band grows to the full one, in leaps where the finer shells of the last growth hardly turned the poses;
  at each band, other modes of uncertain particles are tried, and once more after the first epoch at the full band.

A fit is settled once poses hardly turn at the full band, whatever its phase. It goes on nevertheless while the other
half set is not settled yet, and in that time its poses may turn again.

Nothing here imports torch: the rules are functions of a few numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

BAND_GROWTH_FACTOR = 1.3
"""Factor by which the band grows from one epoch to the next (docs/method.md, table at the top)."""
LEAP = 0.5
"""Largest movement of the last shell, in Fourier pixels, by the mean turn of an epoch at a band that has just grown, to
which the band leaps: where poses hardly turned they need no epochs at the bands between (docs/method.md, why it is
fast)."""
NEARLY_FULL_BAND = 0.9
"""Share of the full band from which the band grows to all of it, because an epoch for the last few shells alone would
be wasted; chosen by hand."""
STILL_TURN = 0.2
"""Mean turn of the poses in an epoch, degrees, below which a fit with the full band is settled (docs/method.md, table
at the top)."""
SEARCH_SETTLED_SHARE = 0.002
"""If a search changes the poses of a smaller share of the particles, it is not repeated (docs/method.md,
near-symmetries)."""
LEAST_SETTLING_EPOCHS, MOST_SETTLING_EPOCHS = 2, 12
"""Smallest and largest number of epochs at the band of the switch. A symmetric map that came out a little twisted must
relax: with more shells, or once its mates are tested, the twist would stay (docs/method.md, near-symmetries)."""
RELAXED_TURN = 0.1
"""Mean turn of the poses in an epoch, degrees, below which a map has relaxed (docs/method.md, near-symmetries)."""
SORTED_CHANGE = 0.02
"""Share of the probability that moves between classes in an epoch, below which the particles are sorted; chosen by
hand."""
FIRST_MATES_BAND = 14
"""Shells from which on mates are tested (or all there are), because with fewer their difference hardly shows; chosen by
hand."""
MATES_BAND = 20
"""Largest number of shells that the test of mates compares: enough to distinguish mates, and far cheaper than all
(docs/method.md, near-symmetries)."""


class Phase(Enum):
    """A phase of a fit in the second stage."""

    SEARCHING = "searching"
    SETTLING = "settling"
    TESTING_MATES = "testing mates"
    GROWING = "growing"


class Task(Enum):
    """A task at the end of an epoch, from whose outcome the next phase follows."""

    NOTHING = "nothing"
    SEARCH = "search"
    TEST_MATES = "test mates"
    TRY_MODES = "try modes"


@dataclass(frozen=True)
class Bands:
    """The largest bands of a fit, in shells: before the switch, and at all."""

    encoding: int
    full: int


@dataclass(frozen=True)
class EpochReport:
    """The outcome of an epoch of the second stage.

    Attributes
    ----------
    turn : float
        Mean turn of the poses, degrees.
    changed : float
        Share of particles whose pose the search has changed; 1 if there was no search.
    mates_tested : bool
        Whether the test of mates is over, or the fit has none.
    class_change : float
        Share of the probability that moved from one class to another; 0 with one class.
    """

    turn: float
    changed: float = 1.0
    mates_tested: bool = True
    class_change: float = 0.0


@dataclass(frozen=True)
class DecodingStanding:
    """The standing of a fit in the second stage, between two epochs.

    Attributes
    ----------
    phase : Phase
    band : int
        Shells of the volume that poses are refined with.
    next_band : int
        Shells of the volume that is being summed up for the next epoch.
    epochs : int
        Epochs closed in this stage.
    settled : bool
        Whether the fit has nothing more to gain.
    grown : bool
        Whether this epoch is the first one at its band.
    """

    phase: Phase
    band: int
    next_band: int
    epochs: int = 0
    settled: bool = False
    grown: bool = False

    @property
    def relaxing(self) -> bool:
        """Whether the map stays at the band of the switch until it has relaxed."""
        return self.phase in (Phase.SEARCHING, Phase.SETTLING)

    def task(self, full_band: int) -> Task:
        """Return the task at the end of this epoch."""
        if self.phase is Phase.SEARCHING:
            return Task.SEARCH
        if self.phase is Phase.TESTING_MATES and self.next_band >= min(FIRST_MATES_BAND, full_band):
            return Task.TEST_MATES
        if self.phase is Phase.GROWING and (self.next_band > self.band or self.grown):
            return Task.TRY_MODES  # With `grown` alone: once more at the full band, with a map that was made at it.
        return Task.NOTHING


def first_standing(band: int, *, searches: bool) -> DecodingStanding:
    """Return the standing of a fit at the switch, whose band is `band`."""
    return DecodingStanding(Phase.SEARCHING if searches else Phase.SETTLING, band, band)


def after_epoch(standing: DecodingStanding, report: EpochReport, bands: Bands) -> DecodingStanding:
    """Return the standing of a fit after an epoch and the task at its end.

    Parameters
    ----------
    standing : DecodingStanding
        Standing during the epoch.
    report : EpochReport
        Outcome of the epoch and of the task.
    bands : Bands
        Largest bands of the fit.
    """
    epochs = standing.epochs + 1
    phase = _next_phase(standing.phase, report, epochs)
    testing = phase is Phase.SEARCHING or not report.mates_tested
    settled = standing.band == bands.full and report.turn <= STILL_TURN and not testing
    band = standing.next_band
    # Poses that stay still at a band where they have been refined before say nothing of finer shells.
    leap = _leap(report.turn) if standing.grown and standing.phase is Phase.GROWING else 0
    return replace(
        standing,
        phase=phase,
        band=band,
        next_band=_next_band(phase, band, bands, leap),
        epochs=epochs,
        settled=settled,
        grown=band > standing.band,
    )


def _next_phase(phase: Phase, report: EpochReport, epochs: int) -> Phase:
    moves = report.turn > RELAXED_TURN or report.class_change > SORTED_CHANGE
    patient = epochs < MOST_SETTLING_EPOCHS
    if phase is Phase.SEARCHING and report.changed > SEARCH_SETTLED_SHARE and moves and patient:
        return Phase.SEARCHING
    relaxing = phase in (Phase.SEARCHING, Phase.SETTLING)
    if relaxing and patient and (moves or epochs < LEAST_SETTLING_EPOCHS):
        return Phase.SETTLING
    return Phase.GROWING if report.mates_tested else Phase.TESTING_MATES


def _leap(turn: float) -> float:
    """Return the shell that a turn, in degrees, moves by `LEAP` Fourier pixels."""
    return LEAP / math.radians(turn) if turn > 0 else math.inf


def _next_band(phase: Phase, band: int, bands: Bands, leap: float) -> int:
    if phase in (Phase.SEARCHING, Phase.SETTLING):
        return max(band, bands.encoding)
    grown = int(max(band * BAND_GROWTH_FACTOR, min(leap, bands.full))) + 1
    following = grown if grown < NEARLY_FULL_BAND * bands.full else bands.full
    # While mates are tested, more shells than the test compares would only cost time.
    return min(following, max(band, MATES_BAND)) if phase is Phase.TESTING_MATES else following
