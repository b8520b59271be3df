"""The steps between two others in which a run gets another symmetry: by a command, or because it looked for one."""

from __future__ import annotations

import copy
import logging
import math
from contextlib import AbstractContextManager
from typing import Any, Protocol

from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.half_sets import HalfSetMonitor
from napari_cryospin.engine.run_progress import RunProgress
from napari_cryospin.engine.sought_symmetry import MOST_STARTS, held_out_errors
from napari_cryospin.engine.switching import SwitchAdvice
from napari_cryospin.engine.symmetry_change import (
    SymmetryChange,
    check_turnable,
    held_out_gain,
    impose,
    placed_symmetry,
    relax,
)
from napari_cryospin.geometry.symmetry import PointGroup, point_group
from napari_cryospin.runs.messages import RefusedError

log = logging.getLogger(__name__)

NO_ADVICE_YET = SwitchAdvice(False, "not yet: the map has had its symmetry for less than an epoch")
"""Advice on the switch right after the step."""


class Changeable(Protocol):
    """The part of a reconstruction that a change of its symmetry needs."""

    progress_made: RunProgress
    fits: list[Fit]
    monitor: HalfSetMonitor

    @property
    def epoch(self) -> int: ...
    @property
    def symmetry(self) -> PointGroup: ...
    def interruptible(self) -> AbstractContextManager[None]: ...
    def new_epoch(self) -> AbstractContextManager[None]: ...
    def begin_stage_anew(self, index: int) -> None: ...
    def start(self, symmetry: PointGroup) -> None: ...
    def learned_state(self) -> dict[str, Any]: ...
    def load_learned(self, state: dict[str, Any]) -> None: ...


def change_symmetry(run: Changeable, name: str) -> SymmetryChange:
    """Impose a symmetry on the map as it stands, or relax the one that it has: C1.

    Whatever symmetry was looked for is looked for no more.

    Raises
    ------
    RefusedError
        As `Commands.change_symmetry`. Nothing is changed then.
    """
    group, sought = _known_group(name), run.progress_made.sought
    if group.trivial and run.symmetry.trivial and sought.group:
        change = SymmetryChange(run.symmetry.name, group.name, note=f"{sought.group} is not looked for any more")
        sought.forget()
        return change
    if group.name == run.symmetry.name:
        raise RefusedError(f"the map has the symmetry {group.name} already")
    if run.epoch == 0:
        raise RefusedError("not every particle has been looked at yet: wait for the end of the first epoch")
    check_turnable(run.fits[0])
    with run.interruptible():
        change = _look(run, group)  # Nothing is changed by it.
    with run.new_epoch():
        for index, fit in enumerate(run.fits):
            if change.found:
                impose(fit, change.found[index], group)
            else:
                relax(fit)
            run.begin_stage_anew(index)
    run.progress_made.symmetry.forget()
    sought.forget()
    _forget_comparison(run)  # Half maps that are turned lie differently on each other.
    return change


def _forget_comparison(run: Changeable) -> None:
    """Forget how the maps compared: they are others now."""
    run.monitor = HalfSetMonitor()
    run.progress_made.resolution = math.nan


def take_sought(run: Changeable) -> SymmetryChange | None:
    """Judge the start of a run that looks for a symmetry: impose it on the free map, begin anew with it, or go on.

    Returns
    -------
    SymmetryChange or None
        None: the run goes on as it was.
    """
    sought = run.progress_made.sought
    change = _of_symmetric_start(run) if sought.starts else _of_free_start(run)
    if change is not None:
        run.progress_made.advice = NO_ADVICE_YET
    return change


def _of_free_start(run: Changeable) -> SymmetryChange | None:
    """Impose the symmetry if the map of all particles shows it, too; else begin anew if the time is over."""
    sought, fits = run.progress_made.sought, run.fits
    if sought.shown and (change := _taken(run, sought.group)) is not None:
        return change
    sought.shown = False
    if not sought.judged:
        return None
    sought.band = min(fit.band.now for fit in fits)
    sought.free_errors = held_out_errors(fits, sought.band)
    return _new_start(run, "the map that began without it did not show it")


def _of_symmetric_start(run: Changeable) -> SymmetryChange | None:
    """Go on with a symmetric map that explains images as well as the free one; else try another, or take the best."""
    sought = run.progress_made.sought
    errors = held_out_errors(run.fits, sought.band)
    lag, clearly = sought.lag(errors)
    if not clearly:
        sought.forget()
        return None
    if not len(sought.best_errors) or errors.mean() < sought.best_errors.mean():
        sought.best_errors, sought.best = errors, copy.deepcopy(run.learned_state())
    if sought.starts < MOST_STARTS:
        return _new_start(run, _worse(lag))
    with run.new_epoch():
        run.load_learned(sought.best)
    _forget_comparison(run)
    group, lag = sought.group, sought.lag(sought.best_errors)[0]
    sought.forget()
    sought.lag_of_best = lag
    note = f"{group} imposed by the best of {MOST_STARTS} starts, although {_worse(lag)}: it may not have this symmetry"
    return SymmetryChange(group, group, note=note)


def _worse(lag: float) -> str:
    return f"images fitted the map without symmetry better by {lag:.1f} nats each"


def _new_start(run: Changeable, reason: str) -> SymmetryChange:
    made, sought = run.progress_made, run.progress_made.sought
    before = run.symmetry.name
    with run.new_epoch():
        run.start(point_group(sought.group))
    _forget_comparison(run)
    made.begun_at = made.epoch
    sought.begin()
    return SymmetryChange(before, sought.group, note=f"{sought.group} imposed by a new start: {reason}")


def _taken(run: Changeable, group: str) -> SymmetryChange | None:
    try:
        return change_symmetry(run, group)
    except RefusedError as refusal:
        log.info("%s is not imposed: %s", group, refusal)
        return None


def _look(run: Changeable, group: PointGroup) -> SymmetryChange:
    fits, before = run.fits, run.symmetry
    if group.trivial:
        return SymmetryChange(before.name, group.name)
    found = tuple(placed_symmetry(fit, group.name) for fit in fits)
    gain = min(held_out_gain(fit, each) for fit, each in zip(fits, found, strict=True))
    return SymmetryChange(before.name, group.name, found, gain)


def _known_group(name: str) -> PointGroup:
    try:
        return point_group(name)
    except ValueError as error:
        raise RefusedError(str(error)) from error
