"""Files of any format: writing that leaves no half-written file, and the search for stacks that a file names."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from napari_cryospin.advice import Advice
from napari_cryospin.listing import NAMES_SHOWN, first_paths


class MissingStacksError(FileNotFoundError):
    """Image stacks that a particle file names were not found.

    Attributes
    ----------
    source : Path
        The particle file.
    missing : tuple of str
        All missing stacks, by their names in the particle file.
    """

    def __init__(self, source: Path, missing: Sequence[str], listed: str = "") -> None:
        self.source, self.missing = source, tuple(missing)
        super().__init__(
            Advice(
                f"{source}: {len(self.missing):,} image stack(s) not found, looked for in the file's folder, its "
                "parents and the data folder",
                "data_dir",
                details=f": {first_paths(self.missing)}{listed}",
            )
        )

    def listed_in(self, path: Path) -> MissingStacksError:
        """Write the names of all stacks to a file, one a line, and return an error that names the file.

        Where the message names all of them, or the file cannot be written, it stays as it is.
        """
        if len(self.missing) <= NAMES_SHOWN:
            return self
        try:
            write_lines(path, self.missing)
        except OSError:  # The run's folder may belong to somebody else.
            return self
        return MissingStacksError(self.source, self.missing, f"; {path} lists all of them")


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Write to a `.part` file that takes the name `path` only when it is complete and on the disk.

    Parameters
    ----------
    path
        File to write; an existing file of that name is replaced, or left as it was if anything fails.

    Yields
    ------
    Path
        The `.part` file, to write to.
    """
    path = Path(path)
    part = partial_name(path)
    try:
        with naming(path):
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def partial_name(path: Path) -> Path:
    """Return the name that a file has until it is complete."""
    return path.with_name(path.name + ".part")


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write lines of text; a file of that name is replaced."""
    with atomic_write(path) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the path to errors of the system that name no file, such as that of a full disk.

    A `RuntimeError` that a library, such as torch, raised because of such an error is turned back into an `OSError`.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__
        if isinstance(cause, OSError) and cause.errno is not None and cause.filename is None:
            raise OSError(cause.errno, _reason(cause, path), str(path)) from error
        raise


def _reason(error: OSError, path: Path) -> str:
    """Return why a file could not be written; of a full disk, with the room that was left for the file."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return str(error.strerror)
    part = partial_name(path)
    written = part.stat().st_size if part.exists() else 0
    room = (written + shutil.disk_usage(path.parent).free) / 2**20
    return f"{error.strerror}: the file needs more than the {room:,.1f} MiB that were left"


def check_is_file(path: Path | str) -> Path:
    """Return the path if it is the path of a file.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no file of that name, or it is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: found a folder, expected a file")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    return path


FileMark = tuple[Path, int, int, int]
"""Mark of a file as it was written once: path, time of the writing in ns, size in bytes, number of the inode."""


def file_mark(path: Path) -> FileMark:
    """Return a mark of a file, which changes whenever the file is written anew.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no file of that name, or it is a folder.
    """
    about = check_is_file(path).stat()
    return path, about.st_mtime_ns, about.st_size, about.st_ino


def find_by_name(name: str, source: Path, data_dir: Path | None = None) -> Path | None:
    """Find a stack by its name in a particle file, and return its path, or None if there is no such file.

    Names are relative to the folder of the project, which is not known. An absolute name is tried as it is. A relative
    one is tried in the folder of the particle file, in the parents of that folder, and in the data folder.

    Parameters
    ----------
    name
        Name of the stack in the particle file.
    source
        The particle file.
    data_dir
        A further folder to look in, given by the user.
    """
    folders = [*source.absolute().parents, *([Path(data_dir)] if data_dir is not None else [])]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def find_stacks(
    names: Sequence[str], source: Path, data_dir: Path | None = None, *, require_stacks: bool = True
) -> tuple[Path, ...]:
    """Find all stacks that a particle file names, and return their paths; `Path(name)` for those not found.

    A stack that is not found by its name is looked for by the last part of the name, in the folder of the particle
    file and in the data folder, unless two stacks of the particle file have the same last part.

    Parameters
    ----------
    names, source, data_dir
        As in `find_by_name`.
    require_stacks
        Raise an error if a stack is missing.

    Raises
    ------
    MissingStacksError
        Stacks are missing; the message names all of them.
    """
    last_parts = Counter(Path(name).name for name in names)
    found = []
    for name in names:
        path = find_by_name(name, source, data_dir)
        if path is None and last_parts[Path(name).name] == 1:
            moved = [Path(folder) / Path(name).name for folder in (source.parent, data_dir) if folder is not None]
            path = next((place for place in moved if place.is_file()), None)
        found.append(path)
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing and require_stacks:
        raise MissingStacksError(source, missing)
    return tuple(path or Path(name) for path, name in zip(found, names, strict=True))
