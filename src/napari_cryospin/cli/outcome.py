"""Commands about what a run found: evaluate, posterior."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional, arg

from napari_cryospin.cli.console import say
from napari_cryospin.evaluation.against_truth import TRUTH_THRESHOLD, TruthReport, evaluate_results
from napari_cryospin.io.files import atomic_write
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.run_particles import open_run_particles
from napari_cryospin.views import figures as report
from napari_cryospin.views.posterior.particle_view import ParticleView
from napari_cryospin.views.truth import TOO_FEW_AGREE, true_rotations


def evaluate_command(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    truth: Path | None = None,
    map: Path | None = None,
    symmetry: str = "C1",
) -> int:
    """Compare a run with a known truth: figures and numbers go to its results/.

    Parameters
    ----------
    run
        Folder of the run.
    truth
        Particles with true poses (.star), such as `simulate` writes.
    map
        True map (.mrc).
    symmetry
        Point group of the true map, modulo which poses are compared: Cn or Dn.
    """
    if truth is None and map is None:
        raise ValueError("evaluate: neither --truth nor --map given; expected at least one")
    folder = RunFolder(run)
    results = folder.path / "results"
    found = evaluate_results(results, truth, map, symmetry, folder.source.data_dir)
    found.save(results / "evaluation.json")
    say(found.text())
    for path in draw_figures(folder, found):
        say(f"wrote {path}")
    return 0


def posterior_command(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    particle: int,
    truth: Path | None = None,
    out: Path | None = None,
) -> int:
    """Posterior of one particle's view direction under the run's map, with the heads' candidates: figure and .npz.

    Parameters
    ----------
    run
        Folder of the run, which may go on meanwhile.
    particle
        Row of the particle in the input, from 0.
    truth
        Particles with true poses (.star): the particle's is drawn as a cross.
    out
        Where to write, without suffix. Default: posterior_PARTICLE in the run's results/.
    """
    folder = RunFolder(run)
    out = out or folder.path / "results" / f"posterior_{particle}"
    out.parent.mkdir(parents=True, exist_ok=True)
    for path in write_posterior(folder, particle, truth, out):
        say(f"wrote {path}")
    return 0


def write_posterior(folder: RunFolder, particle: int, truth: Path | None, out: Path) -> list[Path]:
    """Figure and numbers of one particle's posterior under the newest map."""
    snapshot = folder.newest_snapshot()
    if snapshot is None:
        raise ValueError(f"{folder.path}: no map in this run yet; the first comes after its first steps")
    particles = open_run_particles(folder)
    record = snapshot.particles
    found = ParticleView(particles, folder.settings).posterior(particle, snapshot)
    row = record.position(particle)
    candidates, best_head = _candidates(folder, row)
    true = None
    if truth is not None:
        true = true_rotations(folder, record, truth)
        if true is None:
            say(f"{TOO_FEW_AGREE}: it is not drawn")
    title = f"particle {particle}: view direction, entropy {found.entropy:.2f} nats"
    title += "; candidates of the last encoder" if snapshot.stage == "auto-decoding" and len(candidates) else ""
    figure = report.posterior_figure(
        found.log_posterior,
        candidates,
        best_head,
        record.rotations[row],
        None if true is None else true[row],
        title,
    )
    numbers = out.with_name(out.name + ".npz")
    with atomic_write(numbers) as part, part.open("wb") as file:
        np.savez(
            file,
            particle=particle,
            log_posterior=found.log_posterior,
            candidates=candidates,
            best_head=best_head,
            rotation=record.rotations[row],
            shift=record.shifts[row],
        )
    return [report.save(figure, out.with_name(out.name + ".png")), numbers]


def _candidates(folder: RunFolder, row: int) -> tuple[NDArray[np.float32], int]:
    """`(m, 3, 3)` candidates of the heads in the newest history, and which is the best; none where there is none."""
    epochs = folder.history_paths()
    known = folder.history(max(epochs)).particles("candidates", "best_head") if epochs else None
    if known is None or known.candidates is None or known.best_head is None:
        return np.zeros((0, 3, 3), np.float32), -1
    return known.candidates[row].astype(np.float32), int(known.best_head[row])


def draw_figures(folder: RunFolder, found: TruthReport) -> list[Path]:
    """Pictures of a run and of how it compares, into results/."""
    results = folder.path / "results"
    figures = {"convergence": report.convergence_figure(folder.read_metrics(), folder.read_events())}
    if found.map is not None:
        curves = {label: (curve.frequency, curve.values) for label, curve in found.map.curves.items()}
        figures["fsc_to_truth"] = report.fsc_figure(curves, TRUTH_THRESHOLD)
        maps = {"map": found.map.density, "truth": found.map.truth}
        figures["slices"] = report.slices_figure(maps, found.map.pixel_size)
    if (results / "postprocess.json").is_file():
        figures |= report.results_figures(results)
    return [report.save(figure, results / f"{name}.png") for name, figure in figures.items()]
