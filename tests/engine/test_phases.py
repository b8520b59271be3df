"""The second stage's phases: every transition by itself, and the whole against the flags that they replaced."""

import subprocess
import sys
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from napari_cryospin.engine.phases import (
    FIRST_MATES_BAND,
    MATES_BAND,
    Bands,
    DecodingStanding,
    EpochReport,
    Phase,
    Task,
    after_epoch,
    first_standing,
)

BANDS = Bands(encoding=11, full=63)
MOVES, STILL = 5.0, 0.05
"""Mean turns, degrees: of a map that still relaxes, and of one that has relaxed."""


def test_the_rules_need_no_torch():
    code = "import sys, napari_cryospin.engine.phases as phases; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize(("searches", "phase"), [(True, Phase.SEARCHING), (False, Phase.SETTLING)])
def test_the_first_phase_is_what_the_settings_ask_for(searches, phase):
    assert first_standing(11, searches=searches) == DecodingStanding(phase, band=11, next_band=11)


@pytest.mark.parametrize(
    ("before", "epochs", "turn", "changed", "mates_tested", "after"),
    [
        # A search is repeated while it changes enough, poses move, and there is time.
        (Phase.SEARCHING, 0, MOVES, 0.1, False, Phase.SEARCHING),
        (Phase.SEARCHING, 0, MOVES, 0.001, False, Phase.SETTLING),
        (Phase.SEARCHING, 0, STILL, 0.1, False, Phase.SETTLING),
        (Phase.SEARCHING, 1, STILL, 0.1, False, Phase.TESTING_MATES),
        (Phase.SEARCHING, 1, STILL, 0.1, True, Phase.GROWING),
        (Phase.SEARCHING, 11, MOVES, 0.1, False, Phase.TESTING_MATES),
        # A map settles for two epochs at least, twelve at most, and until poses are still.
        (Phase.SETTLING, 0, STILL, 1.0, True, Phase.SETTLING),
        (Phase.SETTLING, 1, STILL, 1.0, True, Phase.GROWING),
        (Phase.SETTLING, 1, STILL, 1.0, False, Phase.TESTING_MATES),
        (Phase.SETTLING, 10, MOVES, 1.0, True, Phase.SETTLING),
        (Phase.SETTLING, 11, MOVES, 1.0, True, Phase.GROWING),
        # The test of mates ends when it is over, however much poses move.
        (Phase.TESTING_MATES, 4, MOVES, 1.0, False, Phase.TESTING_MATES),
        (Phase.TESTING_MATES, 4, MOVES, 1.0, True, Phase.GROWING),
        (Phase.GROWING, 4, MOVES, 1.0, True, Phase.GROWING),
    ],
)
def test_the_next_phase(before, epochs, turn, changed, mates_tested, after):
    standing = DecodingStanding(before, band=11, next_band=11, epochs=epochs)
    found = after_epoch(standing, EpochReport(turn, changed, mates_tested), BANDS)
    assert found.phase is after
    assert found.epochs == epochs + 1
    assert standing.epochs == epochs  # the one before is left as it was


@pytest.mark.parametrize(
    ("phase", "next_band", "full", "task"),
    [
        (Phase.SEARCHING, 11, 63, Task.SEARCH),
        (Phase.SETTLING, 20, 63, Task.NOTHING),
        (Phase.TESTING_MATES, 13, 63, Task.NOTHING),
        (Phase.TESTING_MATES, 14, 63, Task.TEST_MATES),
        (Phase.TESTING_MATES, 9, 9, Task.TEST_MATES),  # all there is
        (Phase.GROWING, 63, 63, Task.TRY_MODES),
        (Phase.GROWING, 8, 8, Task.NOTHING),  # the band does not grow any more
    ],
)
def test_what_is_done_at_the_end_of_an_epoch(phase, next_band, full, task):
    assert DecodingStanding(phase, band=8, next_band=next_band).task(full) is task


@pytest.mark.parametrize(("grown", "task"), [(True, Task.TRY_MODES), (False, Task.NOTHING)])
def test_other_modes_are_tried_once_more_after_the_first_epoch_at_the_full_band(grown, task):
    assert DecodingStanding(Phase.GROWING, band=63, next_band=63, grown=grown).task(63) is task


@pytest.mark.parametrize(
    ("phase", "band", "encoding", "full", "expected"),
    [
        (Phase.SETTLING, 8, 11, 63, 11),  # switched before the band of the first stage was reached
        (Phase.SETTLING, 11, 11, 63, 11),
        (Phase.GROWING, 11, 11, 63, 15),
        (Phase.GROWING, 42, 11, 63, 55),
        (Phase.GROWING, 43, 11, 63, 56),
        (Phase.GROWING, 44, 11, 63, 63),  # 58 would be more than 0.9 of it
        (Phase.GROWING, 63, 11, 63, 63),
        (Phase.TESTING_MATES, 11, 11, 63, 15),
        (Phase.TESTING_MATES, 18, 11, 63, 20),
        (Phase.TESTING_MATES, 20, 11, 63, 20),
        (Phase.TESTING_MATES, 30, 30, 63, 30),
    ],
)
def test_the_next_band(phase, band, encoding, full, expected):
    report = EpochReport(MOVES, mates_tested=phase is not Phase.TESTING_MATES)
    standing = DecodingStanding(phase, band=band, next_band=band, epochs=5)
    found = after_epoch(standing, report, Bands(encoding, full))
    assert found.phase is phase
    assert (found.band, found.next_band) == (band, expected)


@pytest.mark.parametrize(
    ("phase", "grown", "turn", "expected"),
    [
        (Phase.GROWING, True, 2.0, 27),  # 20 times 1.3
        (Phase.GROWING, True, 0.9, 32),  # 0.9 degrees move the 31st shell by half a Fourier pixel
        (Phase.GROWING, True, 0.45, 63),
        (Phase.GROWING, True, 0.0, 63),
        (Phase.GROWING, False, 0.0, 27),  # still, because they were refined at this band before
        (Phase.TESTING_MATES, True, 0.0, 27),
    ],
)
def test_the_band_leaps_where_finer_shells_hardly_turned_the_poses(phase, grown, turn, expected):
    standing = DecodingStanding(phase, band=15, next_band=20, epochs=5, grown=grown)
    found = after_epoch(standing, EpochReport(turn), BANDS)
    assert (found.phase, found.band, found.next_band, found.grown) == (Phase.GROWING, 20, expected, True)


@pytest.mark.parametrize(
    ("phase", "band", "turn", "mates_tested", "settled"),
    [
        (Phase.GROWING, 63, 0.2, True, True),
        (Phase.GROWING, 63, 0.21, True, False),
        (Phase.GROWING, 62, 0.1, True, False),  # it is the band that poses were refined with that counts
        (Phase.TESTING_MATES, 63, 0.1, False, False),
        (Phase.TESTING_MATES, 63, 0.1, True, True),
        (Phase.SETTLING, 63, 0.15, True, True),  # where the full band is that of the switch
    ],
)
def test_a_fit_is_settled_when_the_full_band_has_no_more_to_give(phase, band, turn, mates_tested, settled):
    standing = DecodingStanding(phase, band=band, next_band=63, epochs=2)
    assert after_epoch(standing, EpochReport(turn, mates_tested=mates_tested), BANDS).settled is settled


def test_a_settled_fit_may_be_found_to_move_again():
    """While the other half set goes on."""
    standing = DecodingStanding(Phase.GROWING, band=63, next_band=63, epochs=9, settled=True)
    assert not after_epoch(standing, EpochReport(MOVES), BANDS).settled


@dataclass
class Flags:
    """Version 0.1: the same rules as flags, in the order of its lines; the oracle."""

    fit_band: int
    encoding_band: int
    full_band: int
    searching: bool
    mates: bool
    mates_over: bool = False
    settling: bool = True
    settled: bool = False
    epochs: int = 0
    next_band: int = field(init=False)

    def __post_init__(self) -> None:
        self.next_band = self.fit_band

    def end_epoch(self, turn: float, changed: float, mates_end: bool) -> str:
        done = "nothing"
        self.epochs += 1
        refined, self.fit_band = self.fit_band, self.next_band
        if self.searching:
            done = "search"
            self.searching = changed > 0.002 and turn > 0.1 and self.epochs < 12
        elif self.mates and not self.settling and not self.mates_over and self.fit_band >= min(14, self.full_band):
            done = "test mates"
            self.mates_over = mates_end
        moving = self.searching or turn > 0.1 or self.epochs < 2
        self.settling = self.settling and moving and self.epochs < 12
        testing = self.searching or (self.mates and not self.mates_over)
        self.settled = refined == self.full_band and turn <= 0.2 and not testing
        if self.settling:
            self.next_band = max(self.fit_band, self.encoding_band)
        else:
            grown = int(self.fit_band * 1.3) + 1
            self.next_band = grown if grown < 0.9 * self.full_band else self.full_band
            if self.mates and not self.mates_over:
                self.next_band = min(self.next_band, max(self.fit_band, 20))
        return done


def test_the_phases_are_what_the_flags_were():
    """Random runs of 40 epochs, with every combination of settings, and bands from a few shells to many."""
    rng = np.random.default_rng(0)
    seen = set()
    for run in range(3000):
        full = int(rng.integers(3, 140))
        encoding = int(rng.integers(2, full + 1))
        band = int(rng.integers(2, encoding + 1))
        searches, mates = bool(run & 1), bool(run & 2)
        flags = Flags(band, encoding, full, searching=searches, mates=mates)
        standing, over = first_standing(band, searches=searches), not mates
        for _ in range(40):
            turn = float(10 ** rng.uniform(-2, 1.5))
            changed = float(rng.choice([0.0, 0.002, 0.0021, 0.3]))
            mates_end = bool(rng.random() < 0.3)
            expected = flags.end_epoch(turn, changed, mates_end)
            task = standing.task(full)
            # Version 0.1 did not try other modes; nothing else is done where the band grows.
            assert ("nothing" if task is Task.TRY_MODES else task.value) == expected
            over = over or (task is Task.TEST_MATES and mates_end)
            report = EpochReport(turn, changed if task is Task.SEARCH else 1.0, over)
            standing = after_epoch(replace(standing, grown=False), report, Bands(encoding, full))  # It did not leap.
            found = standing.band, standing.next_band, standing.epochs, standing.settled, standing.relaxing
            assert found == (flags.fit_band, flags.next_band, flags.epochs, flags.settled, flags.settling)
            assert (standing.phase is Phase.SEARCHING) == flags.searching
            assert (standing.phase is Phase.TESTING_MATES) == (not flags.settling and mates and not flags.mates_over)
            seen.add((standing.phase, standing.settled))
    assert {(phase, False) for phase in Phase} | {(Phase.GROWING, True), (Phase.SETTLING, True)} <= seen


def test_mates_are_compared_in_no_more_shells_than_are_waited_for():
    assert FIRST_MATES_BAND <= MATES_BAND
