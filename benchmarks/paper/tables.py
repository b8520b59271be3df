"""Tables 1 and 2 of what was measured, and times to an accuracy."""

from __future__ import annotations

import csv
import html
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper.cases import CONTENDERS, PUBLISHED, PUBLISHED_COST

Run = dict[str, Any]
Table = list[list[Any]]
RIGHT = (5.0, 2.0)
"""Median errors, degrees, to which times are told."""
PARTS = ("encoder", "volume")
"""What gradients change."""
REACHED = "reached in the time given"
"""What is said of a run that the limit of time ended."""


def time_to(run: Run, degrees: float) -> float | None:
    """Return the seconds after which the median error stays below so many degrees; None: it never does."""
    reached = None
    for row in run["rows"]:
        below = row["median"] <= degrees
        reached = (row["seconds"] if reached is None else reached) if below else None
    return reached


def seconds_an_epoch(run: Run, stage: str) -> float | None:
    """Return the median time of an epoch of a stage; epochs that were not kept share the time with the one that was."""
    ends = [{"epoch": 0, "seconds": 0.0}, *run["rows"]]
    spent = [
        (row["seconds"] - before["seconds"]) / (row["epoch"] - before["epoch"])
        for before, row in zip(ends, run["rows"], strict=False)
        if row["stage"] == stage
    ]
    return statistics.median(spent) if spent else None


def outcome(run: Run) -> str:
    """Return how a run ended: failed, by itself, or by the limit of time."""
    if "failed" in run:
        return f"failed: {run['failed']}"
    return "finished" if run["finished"] else REACHED


TIMES = [f"time to {limit:g} degrees (s)" for limit in RIGHT]


def all_runs(runs: Sequence[Run]) -> Table:
    """List poses, resolution, times and memory of every run."""
    head = ["molecule", "method", "seed", "mean", "median", "within 10", "resolution (A)", *TIMES]
    rows: Table = [[*head, "last epoch (s)", "with results (s)", "peak memory (GiB)", "verdict", "outcome"]]
    for run in runs:
        start = [run["molecule"], run["method"], run["seed"]]
        if not run["rows"]:  # It failed, or no epoch ended in the time given.
            rows.append([*start, *[""] * 10, outcome(run)])
            continue
        last = run["rows"][-1]
        numbers = [last["mean"], last["median"], last["within_10"], last["resolution"]]
        numbers += [*(time_to(run, limit) for limit in RIGHT), last["seconds"], run["elapsed"], run["peak_gib"]]
        rows.append([*start, *numbers, run["verdict"], outcome(run)])
    return rows


def table_1(runs: Sequence[Run]) -> Table:
    """List every method and molecule beside the published errors: the run of the median error, and how many came where.

    A run that failed counts as one that came nowhere.
    """
    came = [f"came to {limit:g} degrees" for limit in RIGHT]
    head = ["molecule", "method", "mean", "median", "within 10", "resolution (A)", *came, *TIMES]
    rows: Table = [[*head, "peak memory (GiB)", "outcome"]]
    for molecule in dict.fromkeys(run["molecule"] for run in runs):
        rows += [
            [molecule, f"{method}, published", mean, median, *[""] * 8]
            for (method, name), (mean, median) in PUBLISHED.items()
            if name == molecule
        ]
        rows += [_of_method(own) for method in CONTENDERS if (own := runs_of(runs, method, molecule))]
    return rows


def runs_of(runs: Sequence[Run], method: str, molecule: str) -> list[Run]:
    """Return the runs of a method on a molecule, seed by seed."""
    return [run for run in runs if (run["method"], run["molecule"]) == (method, molecule)]


def _of_method(runs: list[Run]) -> list[Any]:
    """Summarise the runs of a method on a molecule."""
    times = [[time_to(run, limit) for run in runs] for limit in RIGHT]
    came = [f"{sum(one is not None for one in column)} of {len(runs)}" for column in times]
    by_error = sorted((run for run in runs if run["rows"]), key=lambda run: run["rows"][-1]["median"])
    names = ["mean", "median", "within_10", "resolution"]
    last = by_error[(len(by_error) - 1) // 2]["rows"][-1] if by_error else dict.fromkeys(names)
    ends = [outcome(run).partition(":")[0] for run in runs]
    ended = ", ".join(f"{ends.count(end)} {end}" for end in dict.fromkeys(ends))
    start = [runs[0]["molecule"], runs[0]["method"]]
    peak = median_of(run.get("peak_gib") for run in runs)
    return [*start, *(last[name] for name in names), *came, *map(median_of, times), peak, ended]


def table_2(runs: Sequence[Run]) -> Table:
    """List time an epoch, memory and parameters of every method: medians of its runs."""
    parts = [f"{part}, parameters (million)" for part in PARTS]
    rows: Table = [["method", "s an epoch", "after the switch", "peak memory (GiB)", "parameters (million)", *parts]]
    for name, (seconds, memory, parameters) in PUBLISHED_COST.items():
        rows.append([f"{name}, published (A40)", seconds, "", memory, parameters, "", ""])
    for method in CONTENDERS:
        own = [run for run in runs if run["method"] == method and run["rows"]]
        if own:
            columns = [[seconds_an_epoch(run, stage) for run in own] for stage in ("auto-encoding", "auto-decoding")]
            columns.append([run["peak_gib"] for run in own])
            counts = own[0]["parameters"]
            millions = [count / 1e6 for count in (sum(counts.values()), *(counts.get(part, 0) for part in PARTS))]
            rows.append([method, *map(median_of, columns), *millions])
    return rows


def median_of(values: Iterable[float | None]) -> float | None:
    """Return the median of the values that are known; None: there are none."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def curves(runs: Sequence[Run]) -> Table:
    """List every row of every run: the numbers of Fig. 3 and of the errors in Fig. 4."""
    names = ["epoch", "stage", "seconds", "mean", "median", "within_10", "resolution"]
    rows: Table = [["molecule", "method", "seed", *names]]
    for run in runs:
        start = [run["molecule"], run["method"], run["seed"]]
        rows += [[*start, *(row.get(name) for name in names)] for row in run["rows"]]
    return rows


def write_csv(rows: Table, path: Path) -> None:
    """Write a table as CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def as_html(rows: Table) -> str:
    """Write a table as HTML, numbers to three digits."""

    def cell(value: Any) -> str:
        return "" if value is None else f"{value:.3g}" if isinstance(value, float) else html.escape(str(value))

    head, *body = ("".join(f"<td>{cell(value)}</td>" for value in row) for row in rows)
    return f"<table><tr class=head>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"
