"""Files of other formats: each is named for what it is, wherever it is given."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from napari_cryospin.cli import main
from napari_cryospin.io.mrc import open_stack, read_map, write_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.io.pickled_arrays import load_arrays


def zipped(content: bytes) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("map.mrc", content)
        return file.getvalue()


def in_tar(content: bytes) -> bytes:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            member = tarfile.TarInfo("map.mrc")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        return file.getvalue()


MAKERS: dict[str, Callable[[bytes], bytes]] = {
    "a file compressed by gzip.*unpack it first": gzip.compress,
    "a file compressed by bzip2.*unpack it first": bz2.compress,
    "a file compressed by xz.*unpack it first": lzma.compress,
    "a zip archive.*unpack it first": zipped,
    "a tar archive.*unpack it first": in_tar,
    "an HDF5 file.*convert it to MRC": lambda content: b"\x89HDF\r\n\x1a\n" + content,
    "a TIFF file.*convert it to MRC": lambda content: b"II*\x00\x08\x00\x00\x00" + content,
    "a PNG picture.*convert it to MRC": lambda content: b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + content,
    "a compressed table of cryoSPARC": lambda content: b"\x94CSDAT" + content,
    "a web page.*download the file itself": lambda content: b"<!DOCTYPE html>\n<html><body>404" + b" " * 2000,
    "Git LFS's pointer.*git lfs pull": lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
    "text in UTF-16.*save it as UTF-8": lambda content: "data_particles".encode("utf-16"),
}
"""What is said of a file -> how to make one from an MRC file."""
ONLY_AS_MRC: dict[str, Callable[[bytes], bytes]] = {
    "a STAR file": lambda content: b"# version 30001\n\ndata_particles\n\nloop_\n" + b"_rlnImageName #1\n" * 200,
    "text": lambda content: b"no map at all " * 200,
    "a table in numpy's layout": lambda content: b"\x93NUMPY\x01\x00" + content,
    "a Python pickle": lambda content: b"\x80\x04\x95" + content,
}
"""The same, of what is at its place where something else is expected."""


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """An MRC file of numbers that do not compress below the length of a header."""
    write_map(tmp_path / "good.mrc", np.random.default_rng(0).normal(size=(16, 16, 16)), 2.0)
    return (tmp_path / "good.mrc").read_bytes()


@pytest.mark.parametrize(("what", "make"), (MAKERS | ONLY_AS_MRC).items())
def test_in_place_of_an_mrc_file(tmp_path: Path, content: bytes, what: str, make: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(make(content))
    for read in (read_map, open_stack):
        with pytest.raises(ValueError, match=rf"map.mrc: found {what.replace('.*', '.*, expected an MRC file.*')}"):
            read(path)


@pytest.mark.parametrize(("what", "make"), MAKERS.items())
@pytest.mark.parametrize("suffix", [".star", ".cs", ".csg"])
def test_in_place_of_a_particle_file(
    tmp_path: Path, content: bytes, suffix: str, what: str, make: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"particles{suffix}"
    path.write_bytes(make(content))
    with pytest.raises(
        ValueError, match=rf"particles{suffix}: found {what.split('.*')[0]}.*, expected a ({suffix}|STAR)"
    ):
        open_particles(path)


@pytest.mark.parametrize("suffix", [".star", ".cs", ".csg"])
def test_an_mrc_file_in_place_of_a_particle_file(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"particles{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"particles{suffix}: found an MRC file, expected a "):
        open_particles(path)


@pytest.mark.parametrize(("place", "stamp"), [(208, "MAP "), (257, "ustar")])
def test_text_with_the_letters_of_a_stamp_is_text(star: Path, place: int, stamp: str) -> None:
    star.write_text("# ".ljust(place) + stamp + "\n" + star.read_text())
    assert len(open_particles(star)) == 3


@pytest.mark.parametrize(("what", "make"), MAKERS.items())
def test_in_place_of_a_pickle(tmp_path: Path, content: bytes, what: str, make: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "ctf.pkl"
    path.write_bytes(make(content))
    with pytest.raises(ValueError, match=rf"ctf.pkl: found {what.split('.*')[0]}.*, expected a Python pickle"):
        load_arrays(path)


def test_a_compressed_stack_that_a_star_file_names(star: Path) -> None:
    stack = star.with_name("stack.mrcs")
    stack.write_bytes(gzip.compress(stack.read_bytes()))
    with pytest.raises(ValueError, match=r"stack.mrcs: found a file compressed by gzip, expected an MRC file: unpack"):
        open_particles(star)


def test_a_packed_file_by_its_own_suffix(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stack.mrcs.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=r"type '.gz', expected one of .*; this is a file compressed by gzip: unpack"):
        open_particles(tmp_path / "stack.mrcs.gz", pixel_size=2.0)


def test_a_packed_map_on_the_command_line(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "emd_1234.map.gz"
    packed.write_bytes(gzip.compress(content))
    assert main(["simulate", str(packed), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "emd_1234.map.gz: found a file compressed by gzip, expected an MRC file: unpack it first" in said


@pytest.mark.parametrize(
    ("place", "value"),
    [(12, 154285104), (12, -7), (12, 5), (0, -16), (0, 2**24), (4, 0), (8, -1)],
)
def test_a_header_that_makes_no_sense(tmp_path: Path, content: bytes, place: int, value: int) -> None:
    damaged = bytearray(content)
    damaged[place : place + 4] = np.array(value, "<i4").tobytes()
    (tmp_path / "map.mrc").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"map.mrc: not an MRC file, or damaged: its header says"):
        read_map(tmp_path / "map.mrc")


@pytest.mark.parametrize("length", [1024, 5000])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_bytes_of_no_known_format(tmp_path: Path, length: int, seed: int | None) -> None:
    """Zeros, which a copy that was broken off leaves, and numbers of any kind."""
    content = bytes(length) if seed is None else np.random.default_rng(seed).bytes(length)
    (tmp_path / "map.mrc").write_bytes(content)
    with pytest.raises(ValueError, match=r"map.mrc: not an MRC file, or damaged: its header says"):
        read_map(tmp_path / "map.mrc")


def test_old_files_without_the_stamp_are_read(tmp_path: Path, content: bytes) -> None:
    old = bytearray(content)
    old[208:216] = bytes(8)
    (tmp_path / "map.mrc").write_bytes(old)
    with mrcfile.open(tmp_path / "good.mrc") as mrc:
        np.testing.assert_array_equal(read_map(tmp_path / "map.mrc")[0], mrc.data)
