"""Functions for scripts; `import napari_cryospin as spin` offers them as `spin.reconstruct` and so on.

A run that is made here is the same folder with the same files as one of the command line or of the window: each can
watch, resume, or export the others' runs.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_cryospin.driving.signals import stop_on_signal
from napari_cryospin.io.open import open_particles
from napari_cryospin.particles import Particles
from napari_cryospin.runs.epoch_summary import EpochSummary, summary_of
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event
from napari_cryospin.runs.run_particles import open_moved_particles
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import DEFAULT_PRESET, settings_from
from napari_cryospin.views.run_view import RunView

if TYPE_CHECKING:
    from napari_cryospin.evaluation.found_symmetry import SymmetryReport
    from napari_cryospin.exporters.options import Exported

log = logging.getLogger(__name__)

Run: TypeAlias = RunView | RunFolder | Path | str
"""A run, by its view or by its folder."""


def simulate(source: Path | str, out: Path | str, *, pixel_size: float | None = None, **settings: Any) -> Particles:
    """Simulate particles with known poses from a map.

    Parameters
    ----------
    source : path
        Map (.mrc), protein positive; for example one of `SAMPLE_MAPS`.
    out : path
        Where to write, without suffix: OUT.mrcs, OUT.star without poses, and OUT_truth.star with them.
    pixel_size : float, optional
        Of the map, A. Default: the header's.
    **settings
        Fields of `SimulationSettings`: `count=1000, box=32, snr=0.4, shift_sd=3.0, seed=1`.

    Returns
    -------
    Particles
        Those of OUT.star, without poses.

    Raises
    ------
    ValueError, FileNotFoundError
        A setting or the map cannot be used.
    """
    from napari_cryospin.simulation.files import write_simulation  # torch
    from napari_cryospin.simulation.images import SimulationSettings

    chosen = SimulationSettings(**settings)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    return open_particles(write_simulation(source, out, chosen, pixel_size=pixel_size).particles)


def reconstruct(
    particles: Particles | Path | str,
    out: Path | str,
    *,
    preset: str = DEFAULT_PRESET,
    callback: Callable[[EpochSummary], object] | None = None,
    **settings: Any,
) -> RunView:
    """Reconstruct a map and every particle's pose, ab initio or from a map (`reference="map.mrc"`).

    It returns when the run is over. Ctrl-C saves and stops the run, with results; `resume` then goes on with it. A
    second Ctrl-C breaks off.

    Parameters
    ----------
    particles : Particles or path
        Particles that `open` returned, or a file: .star, .cs, .csg, .mrcs or .mrc.
    out : path
        Folder of the run, new or empty.
    preset : str
        One of `PRESETS`.
    callback : callable, optional
        Called after every epoch with its `EpochSummary`, which can also command the switch, or stop the run.
    **settings
        Overrides of the preset: fields of `Settings` by their own names, `heads=9, half_sets=True, seed=1`.

    Returns
    -------
    RunView
        Of the finished run: maps, poses, posteriors, curves.

    Raises
    ------
    ValueError, FileNotFoundError
        The particles or the settings cannot be used; the message names every reason.
    FileExistsError
        The folder holds other files.
    KeyboardInterrupt
        Ctrl-C stopped the run, which is saved.
    """
    chosen = settings_from(preset, **settings)
    opened = particles if isinstance(particles, Particles) else open_particles(particles)
    source = _input_of(opened)
    from napari_cryospin.checks.preflight import preflight

    preflight(opened, chosen).require_possible()
    from napari_cryospin.driving.run import new_run  # This loads torch, so it comes after the check.

    with new_run(Path(out), source, chosen) as folder:
        return _drive(folder, opened, callback)


def resume(
    run: Run,
    *,
    particles: Path | str | None = None,
    data_dir: Path | str | None = None,
    callback: Callable[[EpochSummary], object] | None = None,
) -> RunView:
    """Resume a run that was stopped or killed from its newest checkpoint; a finished run stays as it is.

    A run whose switch was left to the caller, and was not made, stops at the end of its planned epochs; resuming it
    makes the switch.

    Parameters
    ----------
    run : RunView or path
        The run, or its folder.
    particles, data_dir : path, optional
        New places of the particles' file and its image stacks, if they were moved; the run's folder stores them.
    callback : callable, optional
        As in `reconstruct`.

    Raises
    ------
    ValueError, FileNotFoundError
        There is no run, or its input differs from that with which it began.
    FileExistsError
        Another process drives the run.
    KeyboardInterrupt
        As in `reconstruct`.
    """
    folder = _folder_of(run)
    opened = open_moved_particles(folder, *(None if path is None else Path(path) for path in (particles, data_dir)))
    return RunView(folder) if folder.finished else _drive(folder, opened, callback)


def view(run: Path | str, truth: Path | str | None = None) -> RunView:
    """Open a run for reading, whether it is finished, going on here or elsewhere, or stopped half-way.

    Parameters
    ----------
    run : path
        Folder of the run.
    truth : path, optional
        File with true poses of its particles (.star), if they are known.

    Raises
    ------
    FileNotFoundError
        There is no run in the folder.
    """
    return RunView(run, truth)


def export(
    run: Run, out: Path | str, to: str = "relion", *, select: str = "", class_number: int | None = None, **options: Any
) -> Exported:
    """Write a run's results for another program.

    Parameters
    ----------
    run : RunView or path
        The run, or its folder; of a run that goes on, the last epoch is written.
    out : path
        File or folder to write.
    to : str
        "relion", "cryosparc", "cryodrgn", "chimerax", "maps" or "emdb".
    select : str
        Particles for which this holds: `"entropy < 0.5 and half_set == 1"`. Default: all.
    class_number : int, optional
        Class, from 1, whose maps or particles are written. Default: all.
    **options
        Fields of `ExportOptions`: `flip_hand=True, low_pass=8.0`.

    Returns
    -------
    Exported
        Files written, and notes.

    Raises
    ------
    ValueError, FileNotFoundError
        The run, the selection, an option or the place to write to cannot be used.
    """
    from napari_cryospin.exporters.options import ExportOptions
    from napari_cryospin.exporters.selection import Selection
    from napari_cryospin.exporters.table import export_run

    admitted = [field.name for field in dataclasses.fields(ExportOptions)]
    unknown = [name for name in options if name not in admitted]
    if unknown:
        raise ValueError(f"export: {', '.join(unknown)}: no such option; expected some of {', '.join(admitted)}")
    selection, chosen = Selection(expression=select), ExportOptions(**options)
    return export_run(_folder_of(run), to, Path(out), selection, chosen, class_number=class_number)


def find_symmetry(source: Run, group: str | None = None, *, resolution: float | None = None) -> SymmetryReport:
    """Find which symmetry the map of a run, or of a file, looks like. Nothing is imposed.

    Parameters
    ----------
    source : RunView or path
        A run or its folder, whose newest map is looked at, or a map (.mrc).
    group : str, optional
        The one point group to look at, such as "C3". Default: Cn and Dn up to 12 folds, T, O and I.
    resolution : float, optional
        Down to which the map is compared, A. Default: that of the run, or four pixels.

    Returns
    -------
    SymmetryReport
        The groups with their scores, the one that is advised first, and how the map's axes come to where RELION has
        them.

    Raises
    ------
    ValueError, FileNotFoundError
        There is no such map, or no such group.
    """
    from napari_cryospin.views.symmetry import ComparedMap

    path = source if isinstance(source, Path | str) else _folder_of(source).path
    return ComparedMap.read(path).report(group, resolution)


def _drive(
    folder: RunFolder, particles: Particles | None, callback: Callable[[EpochSummary], object] | None
) -> RunView:
    from napari_cryospin.driving.run import drive_run  # torch

    def hear(event: Event) -> None:
        if callback is not None and event.kind == "epoch":
            callback(summary_of(event, folder))

    with stop_on_signal(log.warning) as stop:
        drive_run(folder, particles, stop=stop, on_event=hear)
    if stop.is_set() and not folder.finished:
        raise KeyboardInterrupt(f"the run in {folder.path} was stopped by a signal, and saved; it can be resumed")
    return RunView(folder)


def _folder_of(run: Run) -> RunFolder:
    if isinstance(run, RunView):
        return run.folder
    return run if isinstance(run, RunFolder) else RunFolder(Path(run))


def _input_of(particles: Particles) -> RunInput:
    """Return the file and the options that open these particles again."""
    if particles.opened_with is None:
        raise ValueError(
            f"{particles.source}: these particles are not that file as it lies; expected particles as `open` gives "
            "them (write chosen ones to a file of their own first)"
        )
    return RunInput(particles=particles.source, **particles.opened_with)
