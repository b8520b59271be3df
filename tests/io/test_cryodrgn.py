"""cryoDRGN pickles, and bare stacks with them."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.io.open import open_particles
from napari_cryospin.io.pickled_arrays import load_arrays

CTF_ROW = [32, 1.0, 15000, 14000, 35, 300, 2.7, 0.1, 90]  # box and pixel size before cropping to 16 px


@pytest.fixture
def rotations() -> np.ndarray:
    return Rotation.random(6, random_state=0).as_matrix().astype(np.float32)


@pytest.fixture
def shifts() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.1, 0.1, (6, 2)).astype(np.float32)


@pytest.fixture
def ctf() -> np.ndarray:
    return np.tile(np.float32(CTF_ROW), (6, 1))


def save(path: Path, content: Any, protocol: int | None = None) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bare_stack(project: Path, rotations: np.ndarray, shifts: np.ndarray, ctf: np.ndarray, protocol: int) -> None:
    particles = open_particles(
        project / "stack.mrcs",
        ctf=save(project / "ctf.pkl", ctf, protocol),
        poses=save(project / "poses.pkl", (rotations, shifts), protocol),
    )
    np.testing.assert_allclose(particles.pixel_sizes, 2.0)
    np.testing.assert_array_equal(particles.rotations, rotations)
    np.testing.assert_allclose(particles.shifts, shifts * 32.0)
    assert particles.ctf is not None
    np.testing.assert_array_equal(particles.ctf.phase_shift, 90)
    np.testing.assert_array_equal(particles.ctf.defocus_v, 14000)
    assert particles.read_images(range(6)).shape == (6, 16, 16)


def test_arrays_in_any_layout(tmp_path: Path) -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    for layout in (array, np.asfortranarray(array), array.transpose(2, 0, 1).copy().transpose(1, 2, 0), array[:, ::2]):
        for protocol in (2, 5):
            (again,) = load_arrays(save(tmp_path / "a.pkl", layout, protocol))
            np.testing.assert_array_equal(again, layout)


def test_pickle_of_numpy_1(tmp_path: Path) -> None:
    """Older numpy named its functions in another place."""
    content = pickle.dumps(np.arange(3.0), protocol=2).replace(b"numpy._core.", b"numpy.core.")
    (tmp_path / "a.pkl").write_bytes(content)
    np.testing.assert_array_equal(load_arrays(tmp_path / "a.pkl")[0], [0, 1, 2])


def test_real_poses(shared_data: Path, tmp_path: Path) -> None:
    truth = np.load(shared_data / "stacks" / "empiar_10076_7_poses.npz")
    particles = open_particles(
        shared_data / "stacks" / "empiar_10076_7.mrc",
        ctf=save(tmp_path / "ctf.pkl", truth["ctf"]),
        poses=save(tmp_path / "poses.pkl", (truth["rot"], truth["trans"])),
    )
    np.testing.assert_allclose(particles.pixel_sizes, 1.31, rtol=1e-6)
    np.testing.assert_allclose(particles.shifts, truth["trans"] * 419.2, rtol=1e-5)


def test_beside_a_star(star: Path, rotations: np.ndarray, ctf: np.ndarray) -> None:
    poses, table = save(star.parent / "p.pkl", rotations[:3]), save(star.parent / "c.pkl", ctf[:3])
    particles = open_particles(star, poses=poses, ctf=table)
    np.testing.assert_array_equal(particles.rotations, rotations[:3])
    assert particles.shifts is None
    assert any("p.pkl" in note for note in particles.notes)


def test_bare_stack_without_anything(project: Path) -> None:
    particles = open_particles(project / "stack.mrcs", pixel_size=3.0)
    np.testing.assert_array_equal(particles.pixel_sizes, 3.0)
    assert particles.ctf is None
    assert "CTF is off" in " ".join(particles.notes)
    assert "header says 2 A" in " ".join(particles.notes)
    with pytest.raises(ValueError, match=r"says no pixel size; give that of the images$"):
        open_particles(project / "stack.mrcs")
    with pytest.raises(ValueError, match="expected a pixel size above 0"):
        open_particles(project / "stack.mrcs", pixel_size=0)


class Evil:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_pickle_is_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "mark"
    for content in (Evil(mark), (np.zeros((6, 3, 3)), Evil(mark)), np.array([Evil(mark)], dtype=object)):
        path = save(tmp_path / "evil.pkl", content, protocol)
        with pytest.raises(ValueError, match=r"evil.pkl: .*only (numpy arrays|arrays of numbers) are admitted"):
            load_arrays(path)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["builtins eval", "numpy save", "numpy.core.multiarray scalar", "_codecs decode"])
def test_nothing_else_is_looked_up(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.pkl").write_bytes(b"c" + name.replace(" ", "\n").encode() + b"\n.")
    with pytest.raises(ValueError, match="only numpy arrays are admitted"):
        load_arrays(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    "content", [{"a": 1}, [1.0, 2.0], "text", np.array(["a"]), (np.zeros(3), None), (), np.array(np.nan)]
)
def test_no_arrays_of_numbers(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ValueError, match=r"a.pkl: found .* expected an array of numbers"):
        load_arrays(save(tmp_path / "a.pkl", content))


class Call:
    """Pickled as a call of a function with arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def test_what_a_pickle_says_of_memory_is_not_believed(tmp_path: Path) -> None:
    """Objects at addresses from the file; more numbers than there are bytes, or fewer; a buffer that is a number."""
    frombuffer = np._core.numeric._frombuffer
    number, objects = np.dtype("f8"), np.dtype("O")
    for content in (
        Call(np.ndarray, (1,), objects, b"AAAAAAAA"),
        Call(np.ndarray, Call(np.ndarray, (1,), objects, b"AAAAAAAA"), number),
        Call(frombuffer, b"AAAAAAAA", objects, (1,), "C"),
        Call(frombuffer, 10**13, number, (10**13,), "C"),
        Call(frombuffer, b"AAAAAAAA", number, (2,), "C"),
        np.array([None]),
    ):
        for protocol in (2, 5):
            with pytest.raises(ValueError, match=r"a.pkl: not a readable pickle"):
                load_arrays(save(tmp_path / "a.pkl", content, protocol))


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04\x95"])
def test_no_pickle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.pkl: not a readable pickle"):
        load_arrays(tmp_path / "a.pkl")


def test_bad_poses(project: Path, rotations: np.ndarray, shifts: np.ndarray) -> None:
    def refused(content: Any, message: str) -> None:
        path = save(project / "p.pkl", content)
        with pytest.raises(ValueError, match=message):
            open_particles(project / "stack.mrcs", pixel_size=2.0, poses=path)

    refused((rotations[:5], shifts[:5]), r"p.pkl: rotations: found an array of \(5, 3, 3\), expected \(6, 3, 3\)")
    refused((rotations, shifts[:, :1]), r"shifts: found an array of \(6, 1\), expected \(6, 2\)")
    refused((-rotations, shifts), "row 1: found .* expected a rotation matrix")
    refused((rotations * 2, shifts), "row 1: found .* expected a rotation matrix")
    refused((rotations, shifts * 100), "expected fractions of the box")
    refused((np.where(np.arange(6)[:, None, None] == 3, np.nan, rotations), shifts), "row 4: found a value that is no")


def test_bad_ctf(project: Path, ctf: np.ndarray) -> None:
    def refused(content: Any, message: str, **options: Any) -> None:
        path = save(project / "c.pkl", content)
        with pytest.raises(ValueError, match=message):
            open_particles(project / "stack.mrcs", ctf=path, **options)

    refused(ctf[:, :8], r"c.pkl: CTF parameters: found an array of \(6, 8\), expected \(6, 9\)")
    refused(ctf * np.arange(6)[:, None], "row 1: found box 0, .* expected numbers above 0")
    refused(ctf, "row 1: found box times pixel size of 32 A, expected 48 A", pixel_size=3.0)
