"""The metrics of a run as curves over epochs, steps or time, without Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.verdict import NOT_DETERMINED

Along = Literal["epoch", "step", "time"]
Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class MetricCurve:
    """The values of a metric of a run, and the place on the axis where each was measured.

    Attributes
    ----------
    x, y : ndarray
        `(k,)` each: places in epochs, steps or minutes, and the values there.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]


WHEREABOUTS = ("time", "elapsed", "step", "epoch")
"""Names of the numbers in a line of metrics that say when it was written; they are no metrics."""


def told_metrics(metrics: Lines, status: Status | None) -> Lines:
    """Leave out the resolution where the verdict is that the poses are not determined."""
    if status is None or status.verdict != NOT_DETERMINED:
        return metrics
    return [{name: value for name, value in line.items() if name != "resolution"} for line in metrics]


def metric_curves(metrics: Lines, status: Status | None, along: Along) -> dict[str, MetricCurve]:
    """Make a curve of every metric that is a number."""
    metrics = told_metrics(metrics, status)
    clock = Clock(metrics, status)
    names = dict.fromkeys(name for line in metrics for name, value in line.items() if _is_number(value))
    return {name: MetricCurve(*series(metrics, name, along, clock)) for name in names if name not in WHEREABOUTS}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def series(metrics: Lines, name: str, along: Along, clock: Clock) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return place and value, `(k,)` each, of every line that has a value under a name."""
    lines = [line for line in metrics if line.get(name) is not None]
    steps, elapsed = _numbers(lines, "step"), _numbers(lines, "elapsed")
    return clock.along(along, steps, elapsed), _numbers(lines, name)


def share_names(metrics: Lines) -> list[str]:
    """Return the names of the heads' shares in the metrics, in the order of the heads."""
    return _numbered(metrics, "head_share_")


def class_share_names(metrics: Lines) -> list[str]:
    """Return the names of the classes' shares in the metrics, in the order of the classes; none with one class."""
    return _numbered(metrics, "class_share_")


def _numbered(metrics: Lines, beginning: str) -> list[str]:
    names = {name for line in metrics for name in line if name.startswith(beginning)}
    return sorted(names, key=lambda name: int(name.rpartition("_")[2]))


def newest(metrics: Lines, name: str, epoch: int | None = None) -> Any:
    """Return the last value under a name, of all lines or of those up to the end of an epoch; None: there is none."""
    line = newest_line(metrics, name, epoch)
    return None if line is None else line[name]


def newest_line(metrics: Lines, name: str, epoch: int | None = None) -> Mapping[str, Any] | None:
    """Return the last line with a value under a name, of all lines or of those up to the end of an epoch."""
    known = (line for line in reversed(metrics) if line.get(name) is not None)
    return next((line for line in known if epoch is None or line.get("epoch", 0) <= epoch), None)


class Clock:
    """Conversion of steps to epochs and minutes.

    Parameters
    ----------
    metrics
        Lines of metrics.jsonl.
    status
        Status of the run, from which the length of an epoch is estimated before the first one has ended.
    """

    def __init__(self, metrics: Lines, status: Status | None) -> None:
        ends = [line for line in metrics if line.get("epoch_ended")]
        self._steps = np.concatenate([[0.0], _numbers(ends, "step")])
        self._epochs = np.concatenate([[0.0], _numbers(ends, "epoch")])
        timed = [line for line in metrics if line.get("elapsed") is not None]
        self._timed_steps, self._elapsed = _numbers(timed, "step"), _numbers(timed, "elapsed")
        self._pace = self._newest_pace(status)  # epochs per step

    def _newest_pace(self, status: Status | None) -> float:
        if len(self._steps) > 1:
            return float((self._epochs[-1] - self._epochs[-2]) / max(1.0, self._steps[-1] - self._steps[-2]))
        if status is not None and status.step and status.epochs:
            return status.progress * status.epochs / status.step
        return 0.0

    def along(self, along: Along, steps: NDArray[Any], elapsed: NDArray[Any] | None = None) -> NDArray[Any]:
        """Convert `(n,)` steps to places on the axis, `(n,)`: epochs and parts of them, steps, or minutes."""
        if along == "step":
            return steps
        if along == "time":
            seconds = np.interp(steps, self._timed_steps, self._elapsed) if elapsed is None else elapsed
            return seconds / 60
        epochs = np.interp(steps, self._steps, self._epochs)
        return np.where(steps > self._steps[-1], self._epochs[-1] + (steps - self._steps[-1]) * self._pace, epochs)

    def switches(self, events: Sequence[Event], along: Along) -> list[float]:
        """Return the places on the axis where the run switched to auto-decoding."""
        steps = np.array([event.step for event in events if event.kind == "switched"], dtype=np.float64)
        if along == "time" and not len(self._timed_steps):
            return []
        return [float(place) for place in self.along(along, steps)]

    def changes(self, events: Sequence[Event], along: Along) -> list[tuple[float, str]]:
        """Return the places on the axis where the run's symmetry or its classes changed, each with a word for it."""
        changes = [(event.step, word) for event in events if (word := change_word(event))]
        if along == "time" and not len(self._timed_steps):
            return []
        places = self.along(along, np.array([step for step, _ in changes], dtype=np.float64))
        return [(float(place), word) for place, (_, word) in zip(places, changes, strict=True)]

    def last(self, along: Along) -> float:
        """Return the end of the axis, which is where the run is now."""
        return float(max(self.along(along, self._timed_steps[-1:]).max(initial=0.0), 1e-3))

    def end_of(self, epoch: int, along: Along) -> float | None:
        """Return the place on the axis where an epoch ended; None: it has not ended yet."""
        found = np.flatnonzero(self._epochs == epoch)
        return float(self.along(along, self._steps[found[:1]])[0]) if len(found) else None


def change_word(event: Event) -> str:
    """Return what the curves say of a change of symmetry or classes; empty: nothing.

    That particles were split into classes is not said, because that happens at the switch.
    """
    if event.kind == "symmetry":
        group = str(event.detail.get("symmetry", ""))
        # A run that looked for a symmetry, and was told not to, goes on without one.
        return "no symmetry" if group == event.detail.get("before") == "C1" else group
    change = event.detail.get("change", "split") if event.kind == "classes" else "split"
    return "" if change == "split" else f"{'classes' if change == 'merged' else 'class'} {change}"


def _numbers(lines: Lines, name: str) -> NDArray[np.float64]:
    return np.array([line[name] for line in lines], dtype=np.float64)
