"""Commands about what a run found: evaluate, posterior."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tyro.conf import Positional

from napari_cryospin import report
from napari_cryospin.cli.console import say
from napari_cryospin.evaluation.against_truth import THRESHOLD, TruthReport, evaluate_results, true_rotations_of
from napari_cryospin.inference.heat_map import particle_posterior
from napari_cryospin.inference.reconstruction import Reconstruction
from napari_cryospin.inference.run import prepare
from napari_cryospin.io.open import open_particles
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder


def evaluate(
    run: Positional[Path],
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
    found = evaluate_results(results, truth, map, symmetry)
    found.save(results / "evaluation.json")
    say(found.text())
    for path in draw(folder, found):
        say(f"wrote {path}")
    return 0


def posterior(run: Positional[Path], particle: int, truth: Path | None = None, out: Path | None = None) -> int:
    """Posterior of one particle's view direction under the run's map, with the heads' candidates: figure and .npz.

    Parameters
    ----------
    run
        Folder of the run, with a checkpoint.
    particle
        Row of the particle in the input, from 0.
    truth
        Particles with true poses (.star): the particle's is drawn as a cross.
    out
        Where to write, without suffix. Default: posterior_PARTICLE in the run's results/.
    """
    folder = RunFolder(run)
    if folder.newest_checkpoint() is None:
        raise ValueError(f"{run}: no checkpoint in this run yet; `send {run} save` writes one")
    particles, reconstruction, _ = prepare(folder)
    out = out or folder.path / "results" / f"posterior_{particle}"
    for path in write_posterior(reconstruction, particles, particle, truth, out):
        say(f"wrote {path}")
    return 0


def write_posterior(
    reconstruction: Reconstruction, particles: Particles, particle: int, truth: Path | None, out: Path
) -> list[Path]:
    """Figure and numbers of one particle's posterior."""
    found = particle_posterior(reconstruction, particle)
    true_rotation = None
    if truth is not None:
        used = particles.select(reconstruction.indices)
        results = reconstruction.results()
        posed = replace(used, rotations=results.rotations, shifts=results.shifts)
        true_rotation = true_rotations_of(posed, open_particles(truth))[np.flatnonzero(results.indices == particle)[0]]
    switched = reconstruction.stage == "auto-decoding"
    title = f"particle {particle}: view direction, entropy {found.entropy:.2f} nats"
    title += "; candidates of the last encoder" if switched and len(found.candidates) else ""
    figure = report.posterior_figure(
        found.log_posterior, found.candidates, found.best_head, found.rotation, true_rotation, title
    )
    found.save(out.with_suffix(".npz"))
    return [report.save(figure, out.with_suffix(".png")), out.with_suffix(".npz")]


def draw(folder: RunFolder, found: TruthReport) -> list[Path]:
    """Pictures of a run and of how it compares, into results/."""
    results = folder.path / "results"
    figures = {"convergence": report.convergence_figure(folder.read_metrics(), folder.read_events())}
    if found.map is not None:
        curves = {label: (curve.frequency, curve.values) for label, curve in found.map.curves.items()}
        figures["fsc_to_truth"] = report.fsc_figure(curves, THRESHOLD)
        maps = {"map": found.map.density, "truth": found.map.truth}
        figures["slices"] = report.slices_figure(maps, found.map.pixel_size)
    return [report.save(figure, results / f"{name}.png") for name, figure in figures.items()]
