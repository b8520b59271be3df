"""MRC maps and stacks, against mrcfile and real files."""

import logging
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from napari_cryospin.io.mrc import mrc_header, open_stack, read_map, stack_header, write_map
from support.stacks import write_stack


@pytest.fixture
def density() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)


def test_map_round_trip(tmp_path: Path, density: np.ndarray) -> None:
    path = tmp_path / "map.mrc"
    write_map(path, density.astype(np.float64), 1.37)
    again, pixel_size = read_map(path)
    np.testing.assert_array_equal(again, density)
    assert again.dtype == np.float32
    assert pixel_size == pytest.approx(1.37)
    assert mrcfile.validate(path)
    with mrcfile.open(path) as mrc:
        header = mrc.header
        assert header.mode == 2
        assert float(header.cella.x) == pytest.approx(16 * 1.37)
        assert (header.nxstart, header.nystart, header.nzstart) == (0, 0, 0)
        assert header.origin.tolist() == (0, 0, 0)
        assert header.nlabl == 1
        assert header.label[0].startswith(b"napari-cryospin 0.")
        assert not mrc.is_image_stack()


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "uint16", "float16", ">i2", ">f4", ">f2"])
def test_modes(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "stack.mrcs"
    values = np.random.default_rng(1).integers(0, 100, (3, 16, 16)).astype(dtype)
    with mrcfile.new(path) as mrc:
        mrc.set_data(values)
    np.testing.assert_array_equal(open_stack(path), values)
    assert stack_header(path)[:2] == (3, 16)


@pytest.mark.parametrize("mode", [3, 4, 101])
def test_other_modes_are_refused(tmp_path: Path, density: np.ndarray, mode: int) -> None:
    path = tmp_path / "map.mrc"
    write_map(path, density, 1.0)
    content = bytearray(path.read_bytes())
    content[12:16] = np.array(mode, "<i4").tobytes()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"MRC mode {mode}, .*; expected one of 0, 1, 2, 6, 12"):
        read_map(path)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_stack_of_another_library_is_read(tmp_path: Path, images: np.ndarray, dtype: str) -> None:
    path = tmp_path / "stack.mrcs"
    write_stack(path, images.astype(dtype), 2.5)
    np.testing.assert_array_equal(open_stack(path), images.astype(dtype))
    assert stack_header(path) == (6, 16, 2 if dtype == "float32" else 12)
    assert mrc_header(path).voxel_size == pytest.approx((2.5, 2.5, 2.5))


def test_stack_is_a_read_only_map(project: Path) -> None:
    stack = open_stack(project / "stack.mrcs")
    assert isinstance(stack, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        stack[0] = 0


def test_axes_in_another_order(tmp_path: Path, density: np.ndarray) -> None:
    path = tmp_path / "map.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(density.transpose(2, 1, 0).copy())
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = 3, 2, 1
        mrc.voxel_size = 2.0
    np.testing.assert_array_equal(read_map(path)[0], density)


def test_file_shorter_than_its_header(shared_data: Path, tmp_path: Path, density: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"header promises \(11029, 128, 128\) values, 722797568 bytes"):
        open_stack(shared_data / "stacks" / "header_says_11029_file_holds_1.mrcs")


@pytest.mark.parametrize("promised", [1, 5])
def test_file_with_more_images_than_its_header_promises(project: Path, promised: int) -> None:
    path = project / "stack.mrcs"
    content = bytearray(path.read_bytes())
    content[8:12] = np.array(promised, "<i4").tobytes()
    path.write_bytes(content)
    more = 6 - promised
    said = (
        rf"stack.mrcs: the file is {1024 * more} bytes longer than its header promises, {more} sections? of 1024 bytes"
    )
    with pytest.raises(ValueError, match=said):
        open_stack(path)


@pytest.mark.parametrize("missing", [4, 80, 1024])
def test_extended_header_that_is_longer_than_it_says(project: Path, images: np.ndarray, missing: int) -> None:
    """All images would be read from the wrong place."""
    path = project / "stack.mrcs"
    content = path.read_bytes()
    head = bytearray(content[:1024])
    head[92:96] = np.array(missing, "<i4").tobytes()
    path.write_bytes(head + bytes(missing) + content[1024:])
    np.testing.assert_array_equal(open_stack(path), images)
    path.write_bytes(content[:1024] + bytes(missing) + content[1024:])
    with pytest.raises(ValueError, match=rf"{missing} bytes longer than its header promises.*nz, NSYMBT.*is wrong"):
        open_stack(path)


@pytest.mark.parametrize("length", [0, 500, 1024, 2000])
def test_truncated_file(tmp_path: Path, density: np.ndarray, length: int) -> None:
    path = tmp_path / "map.mrc"
    write_map(path, density, 1.0)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"map.mrc"):
        read_map(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found a folder"):
        read_map(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nothing.mrc"):
        read_map(tmp_path / "nothing.mrc")


def test_map_that_is_no_cube(project: Path) -> None:
    with pytest.raises(ValueError, match=r"\(6, 16, 16\).* expected a cube"):
        read_map(project / "stack.mrcs")


def test_pixel_size_of_one_is_doubted(shared_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert read_map(shared_data / "stacks" / "10076_classD_32.mrc")[1] == 1.0
    assert "pixel size is 1 A" in caplog.text


def test_changed_file_is_read_anew(project: Path, images: np.ndarray) -> None:
    path = project / "stack.mrcs"
    assert mrc_header(path).shape == (6, 16, 16)
    write_stack(path, images[:2], 2.0)
    assert mrc_header(path).shape == (2, 16, 16)


def test_shared_maps(shared_data: Path) -> None:
    density, pixel_size = read_map(shared_data / "maps" / "hsp.mrc")
    assert density.shape == (128, 128, 128)
    assert pixel_size == pytest.approx(1.5)
