"""What a run knows of its particles, finished or still going on, ready to be written for other programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.geometry.angles import euler_from_rotation
from napari_cryospin.geometry.hand import HAND_FLIP
from napari_cryospin.io.npz import open_npz
from napari_cryospin.particles import Particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import PARTICLES_FILE
from napari_cryospin.runs.run_particles import open_run_particles

SELECTION_COLUMNS = {
    "entropy": "nats, of the posterior over rotations",
    "error": "squared error of the image at its pose, over the noise",
    "head": "the head nearest to the image, from 0; -1: none",
    "winner": "which candidate won: a head, or the number of heads for a pose found by the posterior",
    "half": "half set, 1 or 2; 0: none",
    "row": "row of the input, from 1",
    "rot": "degrees",
    "tilt": "degrees",
    "psi": "degrees",
    "shift": "A, length of the shift",
    "probability": "largest probability of the posterior",
    "samples": "significant samples of the posterior",
    "log_likelihood": "of the image, all poses summed over",
}
"""What particles can be selected by."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RunResults:
    """Particles of a run with what was found about them; arrays `(k, ...)` in the order of the input's rows."""

    folder: RunFolder
    rows: NDArray[np.int64]
    """`(k,)` rows of the input, from 0."""
    rotations: NDArray[np.float64]
    """`(k, 3, 3)`, all in one frame."""
    shifts: NDArray[np.float64]
    """A `(k, 2)`."""
    head: NDArray[np.int16]
    """`(k,)` best head; -1: none."""
    winner: NDArray[np.int16]
    """`(k,)` which candidate won; the number of heads: one of the posterior; -1: none."""
    entropy: NDArray[np.float32]
    """Nats `(k,)`; nan: not known."""
    error: NDArray[np.float32]
    """`(k,)` squared error over the noise; nan: not known."""
    half_sets: NDArray[np.int8]
    """`(k,)` 1, 2, or 0 where there are no halves."""
    max_probability: NDArray[np.float32] | None = None
    """`(k,)` largest probability of the posterior's samples; None: not computed."""
    significant_samples: NDArray[np.int32] | None = None
    """`(k,)` how many samples hold 99.9 % of the posterior."""
    log_likelihood: NDArray[np.float32] | None = None
    """`(k,)` of the image, all poses summed over."""
    epoch: int
    stage: str
    live: bool
    """From the history of a run that has no results yet."""
    notes: tuple[str, ...] = ()
    """How far this can be trusted."""
    opened: Particles | None = dataclasses.field(default=None, repr=False)
    """The run's input, where it is open already."""

    def __len__(self) -> int:
        return len(self.rows)

    def with_input(self, progress: Callable[[float, str], None]) -> RunResults:
        """The same with the run's input open; stacks may be missing."""
        if self.opened is not None:
            return self
        text = f"reading {self.folder.source.particles.name}"
        progress(0.0, text)

        def reading(share: float) -> None:
            progress(share, text)

        opened = open_run_particles(self.folder, require_stacks=False, progress=reading)
        return dataclasses.replace(self, opened=opened)

    @property
    def particles(self) -> Particles:
        """The run's input, all of it."""
        assert self.opened is not None, "with_input comes first"
        return self.opened

    @property
    def used(self) -> Particles:
        """These particles, as the input has them."""
        if self.rows.max() >= len(self.particles):
            found, expected = len(self.particles), self.rows.max() + 1
            raise ValueError(f"{self.particles.source}: found {found} particles, expected at least {expected}")
        return self.particles.select(self.rows)

    def select(self, positions: NDArray[np.int64]) -> RunResults:
        """Some of the particles, by their position."""
        arrays: dict[str, Any] = {
            field.name: value[positions]
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        return dataclasses.replace(self, **arrays)

    def in_other_hand(self) -> RunResults:
        """Poses under the map's mirror image; view directions and shifts stay."""
        return dataclasses.replace(self, rotations=HAND_FLIP @ self.rotations)

    @cached_property
    def angles(self) -> NDArray[np.float64]:
        """Degrees `(k, 3)`: rot, tilt, psi."""
        return euler_from_rotation(self.rotations)

    def column(self, name: str) -> NDArray[np.float64]:
        """`(k,)` values of one of `SELECTION_COLUMNS`; nan where a value is not known.

        Raises
        ------
        ValueError
            The run does not know this.
        """
        if name in ("rot", "tilt", "psi"):
            return self.angles[:, ("rot", "tilt", "psi").index(name)]
        others: dict[str, Any] = {
            "half": self.half_sets,
            "row": self.rows + 1,
            "shift": np.linalg.norm(self.shifts, axis=-1),
            "probability": self.max_probability,
            "samples": self.significant_samples,
        }
        values = others[name] if name in others else getattr(self, name)
        if values is None or np.isnan(np.asarray(values, dtype=np.float64)).all():
            raise ValueError(f"{self.folder.path}: the run does not know the particles' {name} (yet)")
        return np.asarray(values, dtype=np.float64)


def open_results(run: Path | RunFolder, particles: Particles | None = None) -> RunResults:
    """What a run knows of its particles: its results or, while it goes on, the newest epoch of its history.

    Parameters
    ----------
    run
        Folder of the run.
    particles
        Its input, where it is open already.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no run, or none of its epochs has ended yet.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    results, history = folder.path / "results" / PARTICLES_FILE, folder.history_paths()
    newest = max(history, default=0)
    if results.is_file():
        arrays = _load(results)
        # Results are written whenever a run stops; one that was resumed may have come further since.
        if int(arrays["epoch"]) >= newest:
            return _ordered(folder, arrays, particles, live=False)
    if not history:
        raise ValueError(f"{folder.path}: no epoch of this run has ended yet; nothing is known of its particles")
    arrays, notes = _in_one_frame(_load(history[newest]))
    notes = (f"the run is not over: poses are those of epoch {newest}", *notes)
    return dataclasses.replace(_ordered(folder, arrays, particles, live=True), notes=notes)


def _load(path: Path) -> dict[str, Any]:
    with open_npz(path) as file:
        return {name: file[name] for name in file.files}


def _ordered(folder: RunFolder, arrays: dict[str, Any], particles: Particles | None, live: bool) -> RunResults:
    """Arrays of a run in the order of the input's rows."""
    order = np.argsort(arrays["indices"], kind="stable")
    count = len(order)

    def column(name: str, dtype: type, default: float | None = None) -> Any:
        if name not in arrays:
            return None if default is None else np.full(count, default, dtype)
        return arrays[name][order].astype(dtype)

    return RunResults(
        folder=folder,
        rows=column("indices", np.int64),
        rotations=column("rotations", np.float64),
        shifts=column("shifts", np.float64),
        head=column("best_head", np.int16, -1),
        winner=column("winning_head", np.int16, -1),
        entropy=column("entropy", np.float32, np.nan),
        error=column("error", np.float32, np.nan),
        half_sets=column("half_sets", np.int8, 0),
        max_probability=column("max_probability", np.float32),
        significant_samples=column("significant_samples", np.int32),
        log_likelihood=column("log_likelihood", np.float32),
        epoch=int(arrays["epoch"]),
        stage=str(arrays["stage"]),
        live=live,
        opened=particles,
    )


def _in_one_frame(arrays: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """History with the poses of a second half brought to the frame of the first, and a warning where that failed."""
    second = arrays["half_sets"] == 2
    if "half_maps" not in arrays or not second.any():
        return arrays, ()
    from napari_cryospin.engine.half_sets import align_halves, poses_in_frame  # torch

    maps = arrays["half_maps"].astype(np.float32)
    halves = align_halves(maps[0], maps[1], float(arrays["pixel_size"]), exact=False)
    rotations, shifts = arrays["rotations"].astype(np.float64), arrays["shifts"].astype(np.float64)
    rotations[second], shifts[second] = poses_in_frame(rotations[second], shifts[second], halves.alignment)
    warning = (halves.warning,) if halves.warning else ()
    return arrays | {"rotations": rotations, "shifts": shifts}, warning
