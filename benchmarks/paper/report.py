"""The report: one HTML page that stands alone, with tables and SVG figures, and their numbers as CSV beside it."""

from __future__ import annotations

import html
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from benchmarks.paper.candidate_figures import figure_5
from benchmarks.paper.drawing import Comparison, Section
from benchmarks.paper.head_figures import figure_6
from benchmarks.paper.map_figures import figure_2
from benchmarks.paper.switch_figures import figure_4
from benchmarks.paper.tables import all_runs, as_html, table_1, table_2, write_csv
from benchmarks.paper.time_figures import figure_3

FIGURES: list[Callable[[Comparison], Section]] = [figure_2, figure_3, figure_4, figure_5, figure_6]
"""What is drawn at the end; while runs are made, only Fig. 3, whose numbers are measured already."""
STYLE = (
    "body{font:15px sans-serif;max-width:75em;margin:2em auto;padding:0 1em}table{font-size:13px;border-collapse:"
    "collapse}td{padding:.2em .6em;border-bottom:1px solid #ddd}.head{font-weight:bold}.drawing{display:inline-block;"
    "max-width:100%;vertical-align:top}svg{max-width:100%;height:auto}"
)


def drawn(figure: Callable[[Comparison], Section], comparison: Comparison) -> Section:
    """Draw a figure; a run whose folder cannot be read must not cost the rest of the report."""
    try:
        return figure(comparison)
    except (OSError, ValueError) as error:
        return Section(figure.__name__.replace("_", " ").capitalize().replace("Figure", "Fig."), f"Not drawn: {error}")


def about(comparison: Comparison, missing: int) -> str:
    """Say what was measured, where and when."""
    scale = comparison.scale
    parts = [f"{scale.count:,} images of {scale.box} px, SNR {scale.snr:g}, no shifts"]
    parts.append(f"{scale.jobs} at a time, threads of each: {scale.threads}")
    parts.append(f"at most {scale.limit:g} s a run" if scale.limit else "each run to its end")
    parts.append(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {date.today()}")
    unfinished = f" {missing} runs are not made yet." if missing else ""
    published = "Published numbers are those of 50,000 images of 128 px; what failed stands as failed."
    return f"{'; '.join(parts)}.{unfinished} {published}"


def write_report(comparison: Comparison, missing: int, *, figures: bool) -> Path:
    """Write `report.html` and the CSV files; return the page.

    Parameters
    ----------
    comparison
        What was measured.
    missing
        Number of runs that are still to be made.
    figures
        Whether to draw what takes a minute: all figures, instead of Fig. 3 alone.
    """
    runs, out = comparison.runs, comparison.out
    tables = {"table_1": table_1(runs), "table_1_runs": all_runs(runs), "table_2": table_2(runs)}
    sections = [drawn(figure, comparison) for figure in (FIGURES if figures else [figure_3])]
    for name, rows in (tables | {name: rows for one in sections for name, rows in one.numbers.items()}).items():
        write_csv(rows, out / f"{name}.csv")
    size = comparison.scale.name
    parts = [
        f"<!doctype html><meta charset=utf-8><title>The paper's tables and figures</title><style>{STYLE}</style>",
        f"<h1>The paper's tables and figures, scale {size}</h1><p>{html.escape(about(comparison, missing))}",
        "<h2>Table 1: pose errors (degrees) and resolution</h2><p>Of several seeds, the one with the median error; "
        f"times are medians of the runs that came there.{as_html(tables['table_1'])}",
        f"<details><summary>Every run</summary>{as_html(tables['table_1_runs'])}</details>",
        f"<h2>Table 2: cost</h2><p>Memory is that of the whole process.{as_html(tables['table_2'])}",
    ]
    for one in sections:
        parts.append(f"<h2>{html.escape(one.title)}</h2><p>{html.escape(one.text)}</p>")
        parts += [f"<div class=drawing>{drawing}</div>" for drawing in one.drawings]
    page = out / "report.html"
    page.write_text("\n".join(parts))
    return page
