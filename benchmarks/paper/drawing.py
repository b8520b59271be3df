"""Figures as SVG within a page, and what they are drawn of."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from benchmarks.paper.cases import CONTENDERS, Scale
from benchmarks.paper.rows import TrueRun
from benchmarks.paper.tables import Run, Table, runs_of
from matplotlib.figure import Figure

COLOURS = dict(zip(CONTENDERS, [*mpl.colormaps["tab10"].colors, "black"], strict=True))
"""Colour of each method in all figures."""
mpl.rcParams["svg.fonttype"] = "none"  # Text stays text, which is smaller and can be searched.


@dataclass(frozen=True)
class Section:
    """A part of the report: drawings with what they show, and their numbers."""

    title: str
    text: str
    drawings: list[str] = field(default_factory=list)
    numbers: dict[str, Table] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """The runs that were measured so far, of one scale, in the folder of the report."""

    runs: Sequence[Run]
    scale: Scale
    out: Path

    @property
    def molecules(self) -> list[str]:
        return list(dict.fromkeys(run["molecule"] for run in self.runs))

    def with_truth(self, run: Run) -> TrueRun:
        """Return the folder of a run with its truth."""
        name = f"{run['molecule']}_{run['method']}_{run['seed']}"
        stem = self.out / "particles" / self.scale.stem(run["molecule"])
        return TrueRun(self.out / "runs" / self.scale.folder / name, stem, run["molecule"])

    def first(self, method: str, molecule: str) -> Run | None:
        """Return the first run of a method on a molecule of which epochs are known; None: there is none."""
        return next((run for run in runs_of(self.runs, method, molecule) if run["rows"]), None)


def svg(figure: Figure) -> str:
    """Draw a figure as SVG to be put into a page."""
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]
