"""Output of the command line: text, errors, progress."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_cryospin.advice import with_options

if TYPE_CHECKING:
    from napari_cryospin.runs.messages import Status  # Imports numpy, which --help does without.

PROGRESS_LINE_EVERY = 10.0
"""Seconds between two lines of progress if there is no terminal. Chosen by hand."""

logger = logging.getLogger(__name__)


class RefusedFlagsError(Exception):
    """Flags whose values are not valid settings.

    This is not a `ValueError`, because tyro puts a frame around the text of a `ValueError`.
    """


def print_line(text: str) -> None:
    """Print one line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_aside(text: str) -> None:
    """Print one line on stderr, below a progress bar that may be there."""
    sys.stderr.write(f"\n{text}\n")


def error_text(error: BaseException) -> str:
    """Return the text of an error for a user; for an error of the system only the file and the reason."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}"
    return with_flags(error)


def with_flags(message: object) -> str:
    """Return the text of an error or of a note, with the flags that would help."""
    return with_options(message, flag)


def flag(option: str) -> str:
    """Return the flag of an option, as tyro makes it from the name of a field."""
    return "--" + option.replace("_", "-")


def preset_in(arguments: Sequence[str]) -> str:
    """Return the preset that the arguments name, or the default one; tyro refuses an unknown name later."""
    from napari_cryospin.settings import DEFAULT_PRESET, PRESETS  # Imports pydantic, which --help does without.

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", nargs="?", default=DEFAULT_PRESET)
    preset = parser.parse_known_args(list(arguments))[0].preset
    return preset if preset in PRESETS else DEFAULT_PRESET


def resolutions_in(arguments: Sequence[str]) -> list[str]:
    """Return the names of the settings among the arguments that replace a preset's number of shells."""
    from napari_cryospin.settings import SHELLS_FOR

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in SHELLS_FOR:
        parser.add_argument(flag(name), f"--{name}", dest=name, nargs="?")
    found = vars(parser.parse_known_args(list(arguments))[0])
    return [name for name, value in found.items() if value not in (None, "None")]


class ProgressBar:
    """Display of a run's progress: a bar on a terminal, else a line in the log every `PROGRESS_LINE_EVERY` seconds."""

    def __init__(self) -> None:
        form = "{desc} |{bar}| {percentage:3.0f} %{postfix}"
        self.bar = tqdm(total=1.0, bar_format=form, disable=not sys.stderr.isatty(), leave=True)
        self.last_line_at = time.monotonic()

    def __call__(self, status: Status) -> None:
        self.bar.n = status.progress
        self.bar.set_description_str(f"{status.stage} {status.epoch}/{status.epochs}", refresh=False)
        self.bar.set_postfix_str(progress_text(status) + (", paused" if status.state == "paused" else ""))
        if self.bar.disable and time.monotonic() - self.last_line_at >= PROGRESS_LINE_EVERY:
            self.last_line_at = time.monotonic()
            where = f"{status.stage}, epoch {status.epoch}/{status.epochs}, {100 * status.progress:.0f} %"
            logger.info("%s, %s", where, progress_text(status))


def progress_text(status: Status) -> str:
    """Return a text of loss, resolution and time left, as far as they are known."""
    parts = []
    if status.loss is not None:
        parts.append(f"loss {status.loss:.4g}")
    if status.resolution is not None:
        parts.append(f"{status.resolution:.1f} A")
    if status.state == "running" and status.time_left is not None:
        parts.append(f"{tqdm.format_interval(status.time_left)} left")
    return ", ".join(parts)


class LinesAboveBar(logging.Handler):
    """A log handler that writes to stderr, above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


@contextlib.contextmanager
def progress_shown() -> Iterator[ProgressBar]:
    """Show progress, and the package's log on stderr: only warnings on a terminal, messages from INFO on elsewhere."""
    package = logging.getLogger("napari_cryospin")
    handler = LinesAboveBar()
    handler.setLevel(logging.WARNING if sys.stderr.isatty() else logging.INFO)
    before = package.level
    package.setLevel(logging.INFO)
    package.addHandler(handler)
    progress = ProgressBar()
    try:
        yield progress
    finally:
        progress.bar.close()
        package.removeHandler(handler)
        package.setLevel(before)
