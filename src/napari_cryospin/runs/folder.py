"""A run's folder: everything that a run leaves on disk, and the only way in which its watchers and it meet.

::

    settings.json  input.json  particles.json  left_out.csv  status.json  events.jsonl  metrics.jsonl  log.txt
    snapshots/000001230.npz (newest few)    checkpoints/000001200.pt    history/epoch_0007.npz
    commands/<time>-<id>-switch.json (then commands/done/)              results/

Every file but the .jsonl and the log is written under another name and renamed when it is whole; a .jsonl may end in a
torn line after a crash, which readers leave out and the next driver cuts off.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from napari_cryospin.io.files import atomic_write
from napari_cryospin.runs.epoch_record import EpochFile, EpochRecord
from napari_cryospin.runs.json_lines import append_line, cut_torn_line, read_lines
from napari_cryospin.runs.messages import Command, Event, Status
from napari_cryospin.runs.results import PARTICLES_FILE, ResultsRecord, epoch_of_results
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings

logger = logging.getLogger(__name__)

Parsed = TypeVar("Parsed")

PARTICLES_MARK = "particles.json"
"""What a run remembers its particles by: how many, and which images in which order."""
LEFT_OUT_FILE = "left_out.csv"
"""Particles of the input that the run left out, since their images cannot be used; absent where there are none."""
KEPT_SNAPSHOTS = 3
KEPT_CHECKPOINTS = 2
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RunFolder:
    """A folder that holds a run.

    Raises
    ------
    FileNotFoundError
        There is no run in the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not (self.path / "input.json").is_file():
            raise FileNotFoundError(f"{path}: no run in this folder (no input.json)")

    @classmethod
    def create(cls, path: Path, source: RunInput, settings: Settings) -> RunFolder:
        """Make the folder of a new run.

        Raises
        ------
        FileExistsError
            The folder holds a run already, or other files. (A run that failed before its first checkpoint is replaced.)
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
        for name in ("snapshots", "checkpoints", "history", "commands/done", "results"):
            (path / name).mkdir(parents=True, exist_ok=True)
        for name in (PARTICLES_MARK, LEFT_OUT_FILE):
            (path / name).unlink(missing_ok=True)
        for name in ("events.jsonl", "metrics.jsonl", "log.txt"):
            (path / name).write_text("")
        _write_text(path / "settings.json", settings.to_json())
        _write_text(path / "status.json", Status(state="starting", epochs=settings.schedule.epochs).to_json())
        _write_text(path / "input.json", source.to_json())  # last: now it is a run
        return cls(path)

    def discard(self) -> None:
        """Remove the folder of a run that could not begin."""
        assert self.newest_checkpoint() is None
        shutil.rmtree(self.path)

    # What the run was asked to do

    @property
    def source(self) -> RunInput:
        return self._read("input.json", RunInput.from_json)

    @property
    def settings(self) -> Settings:
        return self._read("settings.json", Settings.from_json)

    def move_input(self, source: RunInput) -> None:
        """Note where the run's input is now."""
        _write_text(self.path / "input.json", source.to_json())

    def _read(self, name: str, parse: Callable[[str], Parsed]) -> Parsed:
        path = self.path / name
        try:
            return parse(path.read_text())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: not written by a run, or damaged ({error})") from error

    # Who drives it

    @contextlib.contextmanager
    def driving(self) -> Iterator[None]:
        """Hold the run for this process: one driver at a time. The system lets go of it even after kill -9.

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
        """Tell whether a process drives the run now."""
        try:
            with FileLock(self.path / ".lock", timeout=0):
                return False
        except Timeout:
            return True

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Write what the package logs, from INFO on, to the run's log.txt too."""
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

    # Status, events and metrics

    def write_status(self, status: Status) -> None:
        _write_text(self.path / "status.json", status.to_json())

    def read_status(self) -> Status:
        return self._read("status.json", lambda text: Status(**json.loads(text)))

    def append_event(self, event: Event) -> None:
        append_line(self.path / "events.jsonl", event.to_json())

    def read_events(self) -> list[Event]:
        return [Event(**values) for values in read_lines(self.path / "events.jsonl")]

    def append_metrics(self, values: Mapping[str, Any]) -> None:
        append_line(self.path / "metrics.jsonl", json.dumps(values))

    def read_metrics(self) -> list[dict[str, Any]]:
        return list(read_lines(self.path / "metrics.jsonl"))

    # Commands

    def send(self, command: Command) -> Path:
        """Leave a command for the run; it is obeyed, or refused, between two of its steps."""
        path = self.path / "commands" / f"{command.time:017.6f}-{command.id}-{command.kind}.json"
        _write_text(path, command.to_json())
        return path

    def take_commands(self) -> Iterator[Command]:
        """Take all commands that wait, in the order of their times; each is done when the next is asked for."""
        for path in sorted((self.path / "commands").glob("*.json")):
            try:
                yield Command(**json.loads(path.read_text()))
            except (ValueError, TypeError) as error:  # written by hand: it has no id to answer
                logger.warning("%s: not a command (%s)", path, error)
            finally:
                path.replace(self.path / "commands" / "done" / path.name)

    # Snapshots, history, checkpoints and results

    def write_snapshot(self, snapshot: Snapshot) -> None:
        with atomic_write(self.path / "snapshots" / f"{snapshot.step:09d}.npz") as part, part.open("wb") as file:
            snapshot.save(file)
        _keep_newest(self.path / "snapshots", "*.npz", KEPT_SNAPSHOTS)

    def snapshot_mark(self) -> tuple[str, int, int] | None:
        """Give a mark that changes whenever a snapshot was written: of a later step, or after a switch."""
        for path in sorted((self.path / "snapshots").glob("*.npz"), reverse=True):
            with contextlib.suppress(FileNotFoundError):  # superseded meanwhile
                about = path.stat()
                return path.name, about.st_mtime_ns, about.st_ino
        return None

    def newest_snapshot(self) -> Snapshot | None:
        """Read the newest snapshot, if there is one."""
        for path in sorted((self.path / "snapshots").glob("*.npz"), reverse=True):
            try:
                return Snapshot.load(path)
            except FileNotFoundError:  # superseded meanwhile
                continue
        return None

    def write_history(self, record: EpochRecord) -> None:
        with atomic_write(self._history_path(record.epoch)) as part, part.open("wb") as file:
            record.save(file)

    def history(self, epoch: int) -> EpochFile:
        """Open the record of an epoch, whose arrays are read when they are asked for."""
        return EpochFile(self._history_path(epoch))

    def _history_path(self, epoch: int) -> Path:
        return self.path / "history" / f"epoch_{epoch:04d}.npz"

    def history_paths(self) -> dict[int, Path]:
        """List the files of map, poses and candidates, by number of the epoch."""
        paths = sorted((self.path / "history").glob("epoch_*.npz"))
        return {int(path.stem.removeprefix("epoch_")): path for path in paths}

    @property
    def results_path(self) -> Path:
        """Folder of the results; empty until the run ends or is stopped for the first time."""
        return self.path / "results"

    def results_record(self) -> ResultsRecord | None:
        """Read the particles' record of the results; None: there are none, or the run has gone on since."""
        # Results are written whenever a run stops; one that was resumed may have come further since.
        return ResultsRecord.load(self.results_path / PARTICLES_FILE) if self.has_newest_results() else None

    def has_newest_results(self) -> bool:
        """Whether the run has results, and has not gone on since they were written."""
        path = self.results_path / PARTICLES_FILE
        return path.is_file() and epoch_of_results(path) >= max(self.history_paths(), default=0)

    @contextlib.contextmanager
    def writing_checkpoint(self, step: int) -> Iterator[Path]:
        """Yield the path to write the checkpoint of a step to."""
        with atomic_write(self.path / "checkpoints" / f"{step:09d}.pt") as part:
            yield part
        _keep_newest(self.path / "checkpoints", "*.pt", KEPT_CHECKPOINTS)

    def checkpoints(self) -> list[Path]:
        """List the checkpoints, newest first."""
        return sorted((self.path / "checkpoints").glob("*.pt"), key=lambda path: int(path.stem), reverse=True)

    def newest_checkpoint(self) -> Path | None:
        return next(iter(self.checkpoints()), None)

    def rewind(self, step: int, epoch: int) -> None:
        """Forget metrics, snapshots and history later than the checkpoint from which the run goes on."""
        lines = [json.dumps(values) for values in self.read_metrics() if values["step"] <= step]
        _write_text(self.path / "metrics.jsonl", "".join(line + "\n" for line in lines))
        later = [path for path in (self.path / "snapshots").glob("*.npz") if int(path.stem) > step]
        later += [path for number, path in self.history_paths().items() if number > epoch]
        for path in later:
            path.unlink()


def _refuse_another_run(run: RunFolder) -> None:
    failed_at_start = run.read_status().state == "failed" and run.newest_checkpoint() is None
    if not failed_at_start or run.is_driven():
        raise FileExistsError(
            f"{run.path}: holds a run of {run.source.particles} already; resume it, or choose another folder"
        )


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as part:
        part.write_text(text)


def _keep_newest(folder: Path, pattern: str, count: int) -> None:
    for path in sorted(folder.glob(pattern))[:-count]:
        path.unlink(missing_ok=True)
