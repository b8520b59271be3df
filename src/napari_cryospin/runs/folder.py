"""The folder of a run, which holds all of its files; a run and its watchers communicate through this folder alone.

::

    settings.json  input.json  particles.json  left_out.csv  status.json  events.jsonl  metrics.jsonl  log.txt  note.txt
    reference.json  reference.mrc (where the run started from a map)
    snapshots/000001230.npz (newest few)    checkpoints/000001200.pt    history/epoch_0007.npz
    commands/<time>-<id>-switch.json (then commands/done/)              results/

Every file but the .jsonl files and the log is written under another name, and renamed when it is complete. After a
crash, a .jsonl file may end in a torn line; readers leave that line out, and the next process that drives the run cuts
it off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from napari_cryospin.io.files import FileMark, atomic_write, file_mark, write_lines
from napari_cryospin.runs.epoch_record import EpochFile, EpochRecord
from napari_cryospin.runs.json_lines import append_line, cut_torn_line, read_lines
from napari_cryospin.runs.messages import Command, Event, Status
from napari_cryospin.runs.reference import forget_references
from napari_cryospin.runs.results import PARTICLES_FILE, ResultsRecord, class_count, class_folder, epoch_of_results
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.runs.waiting import waits_for_switch
from napari_cryospin.settings import Settings

logger = logging.getLogger(__name__)

Parsed = TypeVar("Parsed")

PARTICLES_MARK = "particles.json"
"""Name of the file by which a run recognises its particles: their number, and a hash of the images in their order."""
LEFT_OUT_FILE = "left_out.csv"
"""Particles of the input that the run left out, since their images cannot be used; absent where there are none."""
NOTE_FILE = "note.txt"
"""What the user noted of the run, in words; absent where nothing was."""
KEPT_SNAPSHOTS = 3
"""Number of newest snapshots that are kept. Chosen by hand."""
KEPT_CHECKPOINTS = 2
"""Number of newest checkpoints that are kept, so that one is left if the other is damaged. Chosen by hand."""
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""Format of a line in log.txt."""


class RunFolder:
    """A folder that holds a run.

    Parameters
    ----------
    path
        The folder.
    class_number
        Class, from 1, whose results are those of this object; see `of_class`. Default: those of the whole run.

    Raises
    ------
    FileNotFoundError
        There is no run in the folder.
    """

    def __init__(self, path: Path, class_number: int | None = None) -> None:
        self.path, self.class_number = Path(path), class_number
        if not (self.path / "input.json").is_file():
            raise FileNotFoundError(f"{path}: no run in this folder (no input.json)")

    @classmethod
    def create(cls, path: Path, source: RunInput, settings: Settings) -> RunFolder:
        """Make the folder of a new run.

        A run in the folder that failed before its first checkpoint is replaced.

        Parameters
        ----------
        path
            Folder to make; it may exist if it is empty.
        source
            Input of the run.
        settings
            Settings of the run.

        Raises
        ------
        FileExistsError
            The folder holds another run or other files, or the path is that of a file.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise FileExistsError(f"{path}: is a file; expected a folder for the run")
        if (path / "input.json").is_file():
            _refuse_another_run(cls(path))
        elif path.exists() and any(path.iterdir()):
            raise FileExistsError(
                f"{path.absolute()}: holds other files; expected a new or an empty folder for the run"
            )
        replaced = (path / "input.json").is_file()
        try:
            _fill_new_folder(path, source, settings)
        except OSError:  # Such as a full disk: what is half made would be in the way of the next attempt.
            if not replaced:  # Nothing else was in the folder.
                shutil.rmtree(path, ignore_errors=True)
            raise
        return cls(path)

    def discard(self) -> None:
        """Remove the folder of a run that could not begin."""
        assert self.newest_checkpoint() is None
        shutil.rmtree(self.path)

    # Input and settings of the run.

    @property
    def source(self) -> RunInput:
        """Input of the run."""
        return self._read("input.json", RunInput.from_json)

    @property
    def settings(self) -> Settings:
        """Settings of the run."""
        return self._read("settings.json", Settings.from_json)

    def move_input(self, source: RunInput) -> None:
        """Store the new place of the run's input."""
        _write_text(self.path / "input.json", source.to_json())

    def _read(self, name: str, parse: Callable[[str], Parsed]) -> Parsed:
        path = self.path / name
        try:
            return parse(path.read_text())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: not written by a run, or damaged ({error})") from error

    # The process that drives the run.

    @contextlib.contextmanager
    def driving(self) -> Iterator[None]:
        """Lock the run for this process, so that no other process drives it at the same time.

        The operating system releases the lock when the process ends, even if it is killed.

        Raises
        ------
        FileExistsError
            Another process drives the run.
        """
        try:
            lock = FileLock(self.path / ".lock", timeout=1).acquire()
        except Timeout as error:
            raise FileExistsError(f"{self.path}: this run is going on in another process") from error
        with lock:
            for name in ("events.jsonl", "metrics.jsonl"):
                cut_torn_line(self.path / name)
            yield

    def is_driven(self) -> bool:
        """Return whether a process drives the run now."""
        if not self.path.is_dir():  # Asking for the lock would make the folder.
            return False
        try:
            with FileLock(self.path / ".lock", timeout=0):
                return False
        except Timeout:
            return True

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Write the package's log messages, from level INFO on, to the run's log.txt as well."""
        handler = logging.FileHandler(self.path / "log.txt", delay=True)
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
        package = logging.getLogger("napari_cryospin")
        before = package.level
        package.setLevel(logging.INFO)
        package.addHandler(handler)
        try:
            yield
        finally:
            package.removeHandler(handler)
            package.setLevel(before)
            handler.close()

    # What the user notes.

    @property
    def note(self) -> str:
        """What the user noted of the run; empty: nothing."""
        path = self.path / NOTE_FILE
        return path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""

    def write_note(self, text: str) -> None:
        """Replace what the user noted of the run; an empty text removes it."""
        path = self.path / NOTE_FILE
        if text.strip():
            write_lines(path, [text.strip()])
        else:
            path.unlink(missing_ok=True)

    # Status, events and metrics.

    def write_status(self, status: Status) -> None:
        """Replace the status of the run."""
        _write_text(self.path / "status.json", status.to_json())

    @property
    def finished(self) -> bool:
        """Whether the run went to its end, and its results are there."""
        ended = self.read_status().state == "finished" and not self.waits_for_switch
        return ended and (self.results_path / "map.mrc").is_file()

    @property
    def waits_for_switch(self) -> bool:
        """Whether the run ended at its planned epochs with the switch still to be made by hand."""
        return waits_for_switch(self.read_status(), self.settings)

    def read_status(self) -> Status:
        """Read the status of the run."""
        return self._read("status.json", lambda text: Status(**json.loads(text)))

    @property
    def symmetry(self) -> str:
        """Point group that the run's map has now; the settings have the one that it began with."""
        return self.read_status().symmetry or self.settings.volume.symmetry

    def append_event(self, event: Event) -> None:
        """Append an event to events.jsonl."""
        append_line(self.path / "events.jsonl", event.to_json())

    def read_events(self) -> list[Event]:
        """Read all events, the oldest first."""
        return [Event(**values) for values in read_lines(self.path / "events.jsonl")]

    def append_metrics(self, values: Mapping[str, Any]) -> None:
        """Append a line of metrics to metrics.jsonl."""
        append_line(self.path / "metrics.jsonl", json.dumps(values))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read all lines of metrics, the oldest first."""
        return list(read_lines(self.path / "metrics.jsonl"))

    # Commands.

    def send(self, command: Command) -> Path:
        """Write a command into the folder, and return its file; the run obeys or refuses it between two steps."""
        path = self.path / "commands" / f"{command.time:017.6f}-{command.id}-{command.kind}.json"
        _write_text(path, command.to_json())
        return path

    def take_commands(self) -> Iterator[Command]:
        """Yield all waiting commands in the order of their times; each counts as done when the next one is taken."""
        for path in sorted((self.path / "commands").glob("*.json")):
            try:
                yield Command(**json.loads(path.read_text()))
            except (ValueError, TypeError) as error:  # Without a readable id, no event can answer the command.
                logger.warning("%s: not a command (%s)", path, error)
            finally:
                path.replace(self.path / "commands" / "done" / path.name)

    def set_aside_commands(self, before: float) -> list[Command]:
        """Take the commands that were sent before a moment, seconds since 1970; nobody obeys them. Return them."""
        stale = []
        for path in sorted((self.path / "commands").glob("*.json")):
            with contextlib.suppress(ValueError, TypeError):  # What is no command is left to `take_commands`.
                command = Command(**json.loads(path.read_text()))
                if command.time < before:
                    path.replace(self.path / "commands" / "done" / path.name)
                    stale.append(command)
        return stale

    # Snapshots, history, checkpoints and results.

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Write a snapshot, and delete all but the newest `KEPT_SNAPSHOTS`."""
        with atomic_write(self.path / "snapshots" / f"{snapshot.step:09d}.npz") as part, part.open("wb") as file:
            snapshot.save(file)
        _keep_newest(self.path / "snapshots", "*.npz", KEPT_SNAPSHOTS)

    def snapshot_mark(self) -> FileMark | None:
        """Return a mark of the newest snapshot, None if there is none.

        The mark changes with every snapshot that is written, even one of the same step, such as that after a switch.
        """
        for path in sorted((self.path / "snapshots").glob("*.npz"), reverse=True):
            with contextlib.suppress(FileNotFoundError):  # The run may have deleted the file in the meantime.
                return file_mark(path)
        return None

    def newest_snapshot(self) -> Snapshot | None:
        """Read the newest snapshot; None if there is none."""
        for path in sorted((self.path / "snapshots").glob("*.npz"), reverse=True):
            try:
                return Snapshot.load(path)
            except FileNotFoundError:  # The run may have deleted the file in the meantime.
                continue
        return None

    def write_history(self, record: EpochRecord) -> None:
        """Write the record of an epoch to the history."""
        with atomic_write(self._history_path(record.epoch)) as part, part.open("wb") as file:
            record.save(file)

    def history(self, epoch: int) -> EpochFile:
        """Return the record of an epoch; it reads its arrays when they are accessed."""
        return EpochFile(self._history_path(epoch))

    def _history_path(self, epoch: int) -> Path:
        return self.path / "history" / f"epoch_{epoch:04d}.npz"

    def history_paths(self) -> dict[int, Path]:
        """Return the files of the history: number of the epoch -> path of its record."""
        paths = sorted((self.path / "history").glob("epoch_*.npz"))
        return {int(path.stem.removeprefix("epoch_")): path for path in paths}

    @property
    def results_path(self) -> Path:
        """Folder of the results, which is empty until the run ends or is stopped for the first time."""
        results = self.path / "results"
        return results if self.class_number is None else class_folder(results, self.class_number)

    @property
    def classes(self) -> int:
        """Number of classes that the run has results of, or that are in the newest epoch of its history."""
        epochs = self.history_paths()
        if (self.path / "results" / PARTICLES_FILE).is_file() or not epochs:
            return class_count(self.path / "results")
        return self.history(max(epochs)).classes

    def of_class(self, number: int | None) -> RunFolder:
        """Return the same run, whose results are those of a class, from 1; of None: of the whole run.

        Raises
        ------
        ValueError
            The run has no such class.
        """
        if number is None:
            return RunFolder(self.path)
        classes = self.classes
        if not 1 <= number <= classes:
            raise ValueError(f"{self.path}: found class {number}; the run has {classes}, expected 1 to that")
        return RunFolder(self.path, None if classes == 1 else number)

    def results_record(self) -> ResultsRecord | None:
        """Read the particles of the results; None if there are no results, or the run has gone on since."""
        # Results are written whenever a run stops, and a run that was resumed may have finished more epochs since.
        return ResultsRecord.load(self.results_path / PARTICLES_FILE) if self.has_newest_results() else None

    def has_newest_results(self) -> bool:
        """Return whether the run has results, and has finished no further epoch since they were written."""
        path = self.results_path / PARTICLES_FILE
        return path.is_file() and epoch_of_results(path) >= max(self.history_paths(), default=0)

    @contextlib.contextmanager
    def writing_checkpoint(self, step: int) -> Iterator[Path]:
        """Yield a path for the checkpoint of a step; then delete all but the newest `KEPT_CHECKPOINTS`."""
        with atomic_write(self.path / "checkpoints" / f"{step:09d}.pt") as part:
            yield part
        _keep_newest(self.path / "checkpoints", "*.pt", KEPT_CHECKPOINTS)

    def checkpoints(self) -> list[Path]:
        """Return the paths of the checkpoints, the newest first."""
        return sorted((self.path / "checkpoints").glob("*.pt"), key=lambda path: int(path.stem), reverse=True)

    def newest_checkpoint(self) -> Path | None:
        """Return the path of the newest checkpoint; None if there is none."""
        return next(iter(self.checkpoints()), None)

    def rewind(self, step: int, epoch: int) -> None:
        """Delete metrics and snapshots after a step, and history after an epoch: those of the checkpoint to resume."""
        lines = [json.dumps(values) for values in self.read_metrics() if values["step"] <= step]
        _write_text(self.path / "metrics.jsonl", "".join(line + "\n" for line in lines))
        later = [path for path in (self.path / "snapshots").glob("*.npz") if int(path.stem) > step]
        later += [path for number, path in self.history_paths().items() if number > epoch]
        for path in later:
            path.unlink()


def _fill_new_folder(path: Path, source: RunInput, settings: Settings) -> None:
    for name in ("snapshots", "checkpoints", "history", "commands/done", "results"):
        (path / name).mkdir(parents=True, exist_ok=True)
    for name in (PARTICLES_MARK, LEFT_OUT_FILE):
        (path / name).unlink(missing_ok=True)
    forget_references(path)
    for name in ("events.jsonl", "metrics.jsonl", "log.txt"):
        (path / name).write_text("")
    start = dataclasses.replace(settings.start, reference=_paths_text(settings.start.reference_paths))
    _write_text(path / "settings.json", dataclasses.replace(settings, start=start).to_json())
    _write_text(path / "status.json", Status(state="starting", epochs=settings.schedule.epochs).to_json())
    _write_text(path / "input.json", source.to_json())  # A folder counts as a run from this file on, so it is last.


def _refuse_another_run(run: RunFolder) -> None:
    failed_at_start = run.read_status().state == "failed" and run.newest_checkpoint() is None
    if not failed_at_start or run.is_driven():
        raise FileExistsError(
            f"{run.path}: holds a run of {run.source.particles} already; resume it, or choose another folder"
        )


def _paths_text(paths: tuple[Path, ...]) -> str | tuple[str, ...] | None:
    texts = tuple(map(str, paths))
    return texts if len(texts) > 1 else next(iter(texts), None)


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as part:
        part.write_text(text)


def _keep_newest(folder: Path, pattern: str, count: int) -> None:
    for path in sorted(folder.glob(pattern))[:-count]:
        path.unlink(missing_ok=True)
