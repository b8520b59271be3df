"""Writing that leaves nothing half-written; finding stacks."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_cryospin.io.files import MissingStacksError, atomic_write, find_by_name, find_stacks


def test_atomic_write_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_disk_full_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="No space"), atomic_write(path) as part:  # noqa: PT012
        part.write_text("half of the n")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_of_a_full_disk_the_room_that_was_left_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(9, 9, 2**19))
    told = "needs more than the 3.5 MiB that were left"
    with pytest.raises(OSError, match=told) as caught, atomic_write(tmp_path / "map.mrc") as part:  # noqa: PT012
        part.write_bytes(bytes(3 * 2**20))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value.filename) == str(tmp_path / "map.mrc")
    with pytest.raises(OSError, match=r"^.Errno 5. [^:]*: '"), atomic_write(tmp_path / "map.mrc"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))  # Only a full disk has to do with its room.


def test_disk_full_while_flushing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"), atomic_write(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert list(tmp_path.iterdir()) == []


WRITE_MAP = """
import resource, signal, sys
import numpy as np
from napari_cryospin.io.mrc import write_map
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
write_map(sys.argv[1], np.zeros((32, 32, 32)), 1.5)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the size of files")
def test_map_that_does_not_fit(tmp_path: Path) -> None:
    """The operating system itself refuses to write more."""
    path = tmp_path / "map.mrc"
    path.write_text("old")
    result = subprocess.run([sys.executable, "-c", WRITE_MAP, path], capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "File too large" in result.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_are_found_upwards_and_in_the_data_folder(tmp_path: Path) -> None:
    project, data = tmp_path / "project", tmp_path / "data"
    source = project / "Refine3D" / "job1" / "run.star"
    source.parent.mkdir(parents=True)
    for path in (project / "Extract" / "a.mrcs", data / "Movies" / "b.mrcs", data / "c.mrcs"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    names = ["Extract/a.mrcs", "Movies/b.mrcs", "elsewhere/c.mrcs", str(data / "c.mrcs")]
    assert find_by_name(names[0], source) == project / "Extract" / "a.mrcs"
    assert find_by_name(names[3], source) == data / "c.mrcs"
    assert find_by_name(names[1], source) is None
    found = find_stacks(names[:3], source, data)
    assert found == (project / "Extract" / "a.mrcs", data / "Movies" / "b.mrcs", data / "c.mrcs")


def test_all_missing_stacks_are_reported(tmp_path: Path) -> None:
    (tmp_path / "b.mrcs").touch()
    source = tmp_path / "run.star"
    with pytest.raises(MissingStacksError, match=r"run.star: 2 image stack") as raised:
        find_stacks(["x/a.mrcs", "x/b.mrcs", "x/c.mrcs"], source)
    assert isinstance(raised.value, FileNotFoundError)
    assert raised.value.missing == ("x/a.mrcs", "x/c.mrcs")
    assert raised.value.source == source
    assert find_stacks(["x/a.mrcs"], source, require_stacks=False) == (Path("x/a.mrcs"),)


def test_stacks_that_differ_in_their_folders_are_not_confused(tmp_path: Path) -> None:
    (tmp_path / "a.mrcs").touch()
    with pytest.raises(MissingStacksError) as raised:
        find_stacks(["x/a.mrcs", "y/a.mrcs"], tmp_path / "run.star")
    assert raised.value.missing == ("x/a.mrcs", "y/a.mrcs")
