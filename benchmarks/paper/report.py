"""The report: Table 1, Table 2 and Fig. 3 of what was measured, as CSV and as one HTML page with SVG figures."""

from __future__ import annotations

import csv
import html
import io
import platform
import statistics
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from benchmarks.paper.cases import CONTENDERS, PUBLISHED, PUBLISHED_COST

mpl.use("svg")
from matplotlib import pyplot as plt

Run = dict[str, Any]
RIGHT = (5.0, 2.0)
"""Median errors, degrees, to which times are told."""


def time_to(run: Run, degrees: float) -> float | None:
    """Return the seconds after which the median error stays below so many degrees; None: it never does."""
    reached = None
    for row in run["rows"]:
        below = row["median"] <= degrees
        reached = (row["seconds"] if reached is None else reached) if below else None
    return reached


def seconds_an_epoch(run: Run, stage: str) -> float | None:
    """Return the median time of an epoch of a stage."""
    ends = [0.0, *(row["seconds"] for row in run["rows"])]
    spent = [end - begin for begin, end, row in zip(ends, ends[1:], run["rows"], strict=False) if row["stage"] == stage]
    return statistics.median(spent) if spent else None


def table_1(runs: Sequence[Run]) -> list[list[Any]]:
    """List poses, resolution and times of every run, and the published errors."""
    rows: list[list[Any]] = [
        ["molecule", "method", "seed", "mean", "median", "within 10", "resolution (A)"]
        + [f"time to {limit:g} degrees (s)" for limit in RIGHT]
        + ["time in all (s)", "verdict"]
    ]
    for (method, molecule), (mean, median) in PUBLISHED.items():
        rows.append([molecule, f"{method}, published", "", mean, median, *[""] * 6])
    for run in runs:
        start = [run["molecule"], run["method"], run["seed"]]
        if "failed" in run:
            rows.append([*start, *[""] * 7, f"failed: {run['failed']}"])
            continue
        last = run["rows"][-1]
        numbers = [last["mean"], last["median"], last["within_10"], last["resolution"]]
        rows.append([*start, *numbers, *(time_to(run, limit) for limit in RIGHT), last["seconds"], run["verdict"]])
    return rows


def table_2(runs: Sequence[Run]) -> list[list[Any]]:
    """List time an epoch, memory and parameters of every method: medians of its runs."""
    rows: list[list[Any]] = [["method", "s an epoch", "after the switch", "peak memory (GiB)", "parameters (million)"]]
    for name, (seconds, memory, parameters) in PUBLISHED_COST.items():
        rows.append([f"{name}, published (A40)", seconds, "", memory, parameters])
    for method in CONTENDERS:
        own = [run for run in runs if run["method"] == method and run["rows"]]
        if own:
            columns = [[seconds_an_epoch(run, stage) for run in own] for stage in ("auto-encoding", "auto-decoding")]
            columns += [[run["peak_gib"] for run in own], [run["parameters"] / 1e6 for run in own]]
            rows.append([method, *(_median(column) for column in columns)])
    return rows


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def figure_3(runs: Sequence[Run], molecule: str, value: str, label: str) -> str:
    """Draw resolution or median error against time, both as logarithms: SVG."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for number, method in enumerate(CONTENDERS):
        own = [run for run in runs if (run["method"], run["molecule"]) == (method, molecule) and run["rows"]]
        for run in own:
            part = [row for row in run["rows"] if value in row]
            name = method if run is own[0] else None
            axes.loglog([row["seconds"] for row in part], [row[value] for row in part], color=f"C{number}", label=name)
    axes.set(title=molecule, xlabel="time (s)", ylabel=label)
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, fontsize=8)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    plt.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]


def write_csv(rows: list[list[Any]], path: Path) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def as_html(rows: list[list[Any]]) -> str:
    def cell(value: Any) -> str:
        return "" if value is None else f"{value:.3g}" if isinstance(value, float) else html.escape(str(value))

    head, *body = ("".join(f"<td>{cell(value)}</td>" for value in row) for row in rows)
    return f"<table><tr class=head>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"


def write_report(runs: Sequence[Run], scale: str, missing: int, out: Path) -> Path:
    """Write `report.html`, `table_1.csv`, `table_2.csv`; return the page."""
    tables = {"table_1": table_1(runs), "table_2": table_2(runs)}
    for name, rows in tables.items():
        write_csv(rows, out / f"{name}.csv")
    machine = f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {date.today()}"
    unfinished = f" {missing} runs are not made yet." if missing else ""
    parts = [
        "<!doctype html><meta charset=utf-8><title>The paper's tables and figures</title><style>"
        "body{font:15px sans-serif;max-width:70em;margin:2em auto;padding:0 1em}td{padding:.2em .8em;"
        "border-bottom:1px solid #ddd}.head{font-weight:bold}</style>",
        f"<h1>The paper's tables and figures, scale {scale}</h1><p>{html.escape(machine)}.{unfinished} Published "
        "numbers are those of 50,000 images of 128 px; what failed stands as failed.</p>",
        f"<h2>Table 1: pose errors (degrees) and resolution</h2>{as_html(tables['table_1'])}",
        f"<h2>Table 2: cost</h2>{as_html(tables['table_2'])}<h2>Fig. 3: against time</h2>",
    ]
    for molecule in dict.fromkeys(run["molecule"] for run in runs):
        parts.append(figure_3(runs, molecule, "resolution", "resolution (A, FSC 0.5 with the truth)"))
        parts.append(figure_3(runs, molecule, "median", "median rotation error (degrees)"))
    page = out / "report.html"
    page.write_text("\n".join(parts))
    return page
