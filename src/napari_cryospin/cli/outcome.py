"""The commands `evaluate` and `posterior`, about the outcome of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from napari_cryospin.cli.console import print_line
from napari_cryospin.runs.places import check_place
from napari_cryospin.views.figures import save_figure
from napari_cryospin.views.run_view import RunView


def evaluate_command(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    truth: Path | None = None,
    map: Path | None = None,
    symmetry: str | None = None,
) -> int:
    """Compare a run with a known truth, and write figures and numbers to its results/.

    Parameters
    ----------
    run
        Folder of the run.
    truth
        Particles with true poses (.star), such as `simulate` writes.
    map
        True map (.mrc).
    symmetry
        Point group of the true map, such as C3; poses are compared modulo this symmetry. Default: that of the run.
    """
    if truth is None and map is None:
        raise ValueError("evaluate: neither --truth nor --map given; expected at least one")
    view = RunView(run)
    found = view.evaluate(truth, map, symmetry)
    found.save(view.folder.results_path / "evaluation.json")
    print_line(found.text())
    for path in view.save_figures(report=found):
        print_line(f"wrote {path}")
    return 0


def posterior_command(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    particle: int,
    truth: Path | None = None,
    out: Path | None = None,
) -> int:
    """Compute the posterior of one particle's view direction under the run's map, and write a figure and an .npz file.

    Parameters
    ----------
    run
        Folder of the run, which may still be going on.
    particle
        Row of the particle in the input, from 1.
    truth
        Particles with true poses (.star); the true view direction is drawn as a cross.
    out
        Path of the files without suffix. Default: posterior_PARTICLE in the run's results/.
    """
    view = RunView(run, truth)
    if out is not None:
        check_place(out, ())
    for path in write_posterior(view, particle - 1, out or view.folder.results_path / f"posterior_{particle}"):
        print_line(f"wrote {path}")
    return 0


def write_posterior(view: RunView, particle: int, out: Path) -> list[Path]:
    """Write figure and numbers of one particle's posterior under the newest map.

    Parameters
    ----------
    view
        The run.
    particle
        Row of the input, from 0.
    out
        Path of the files, without suffix.
    """
    found = view.posterior(particle)
    if found.detail is not None and found.detail.truth_note:
        print_line(found.detail.truth_note)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure = save_figure(found.plot(), out.with_name(out.name + ".png"))
    return [figure, found.save(out.with_name(out.name + ".npz"))]
