"""Arrays of .npz files, and files that are none."""

from pathlib import Path

import numpy as np
import pytest

from napari_cryospin.io.npz import open_npz


def test_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.arange(3), b=np.ones(2))
    with open_npz(tmp_path / "a.npz") as file:
        assert file["a"].tolist() == [0, 1, 2]
        assert sorted(file.files) == ["a", "b"]


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(10_000))
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:2000], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a.npz: not a readable .npz file, or damaged"), open_npz(path):
            pass
    spoilt = bytearray(whole)
    spoilt[1000] ^= 255
    path.write_bytes(spoilt)
    with pytest.raises(ValueError, match=r"a.npz: damaged"), open_npz(path) as file:
        assert file["a"] is not None
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"a.npz: damaged, or not of the kind expected .*b"), open_npz(path) as file:
        assert file["b"] is not None
    np.save(tmp_path / "one.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"one.npy: one array alone"), open_npz(tmp_path / "one.npy"):
        pass
    with pytest.raises(FileNotFoundError, match=r"none.npz"), open_npz(tmp_path / "none.npz"):
        pass
