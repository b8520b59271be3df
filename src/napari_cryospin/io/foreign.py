"""Files of another format than their name or their place promises, told by their first bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

START = 1024
"""Bytes from which a file is told: the length of an MRC header."""
MRC_STAMP = slice(208, 211)
"""Bytes of an MRC header that say MAP."""


@dataclass(frozen=True)
class FileKind:
    """A format that is not read where it was found."""

    what: str
    """Its name, with the article."""
    way_out: str = ""
    """What the user can do about it."""


def _packed(program: str) -> FileKind:
    return FileKind(f"a file compressed by {program}", "unpack it first")


CONVERT = "convert it to MRC first (RELION: relion_image_handler, EMAN2: e2proc2d.py, IMOD: newstack)"
MRC_FILE = FileKind("an MRC file")
PICKLE = FileKind("a Python pickle")
NUMPY_TABLE = FileKind("a table in numpy's layout, as cryoSPARC's .cs files are")
SIGNATURES = {
    b"\x1f\x8b": _packed("gzip"),
    b"BZh": _packed("bzip2"),
    b"\xfd7zXZ\x00": _packed("xz"),
    b"\x28\xb5\x2f\xfd": _packed("zstd"),
    b"PK\x03\x04": FileKind("a zip archive", "unpack it first"),
    b"7z\xbc\xaf\x27\x1c": FileKind("a 7z archive", "unpack it first"),
    b"\x89HDF\r\n\x1a\n": FileKind("an HDF5 file", CONVERT),
    b"II*\x00": FileKind("a TIFF file", CONVERT),
    b"MM\x00*": FileKind("a TIFF file", CONVERT),
    b"II+\x00": FileKind("a TIFF file", CONVERT),
    b"MM\x00+": FileKind("a TIFF file", CONVERT),
    b"\x89PNG\r\n": FileKind("a PNG picture", CONVERT),
    b"\xff\xd8\xff": FileKind("a JPEG picture", CONVERT),
    b"\x00\x00\x00\x03": FileKind("a DM3 file of Gatan's", CONVERT),
    b"\x00\x00\x00\x04": FileKind("a DM4 file of Gatan's", CONVERT),
    b"%PDF": FileKind("a PDF document"),
    b"\x93NUMPY": NUMPY_TABLE,
    b"\x94CSDAT": FileKind(
        "a compressed table of cryoSPARC", "export the particles from cryoSPARC, or save them in numpy's layout"
    ),
    b"\x80\x02": PICKLE,
    b"\x80\x03": PICKLE,
    b"\x80\x04": PICKLE,
    b"\x80\x05": PICKLE,
    b"\xff\xfe": FileKind("text in UTF-16", "save it as UTF-8"),
    b"\xfe\xff": FileKind("text in UTF-16", "save it as UTF-8"),
    b"version https://git-lfs": FileKind("Git LFS's pointer to a file", "fetch the file itself (git lfs pull)"),
}
"""First bytes -> format; from the formats' specifications."""
TAR_STAMP = slice(257, 262)
"""Bytes of a tar archive that say ustar."""
WEB_PAGE = re.compile(rb"\s*<(!doctype html|html)\b", re.IGNORECASE)
STAR_KEYWORD = re.compile(rb"^\s*(data_|loop_)", re.IGNORECASE | re.MULTILINE)
NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")


def first_bytes(path: Path) -> bytes:
    """Read the bytes from which a file is told."""
    with path.open("rb") as file:
        return file.read(START)


def known_kind(start: bytes) -> FileKind | None:
    """Tell the format of a file by the mark that it begins with; None: it has none that is known here."""
    if b"\x00" in start:  # A text may have these letters at these places too.
        if start[MRC_STAMP] == b"MAP":
            return MRC_FILE
        if start[TAR_STAMP] == b"ustar":
            return FileKind("a tar archive", "unpack it first")
    if WEB_PAGE.match(start):
        return FileKind("a web page", "download the file itself")
    return next((kind for signature, kind in SIGNATURES.items() if start.startswith(signature)), None)


def file_kind(start: bytes) -> FileKind | None:
    """Tell the format of a file as `known_kind`, and STAR files and other text as well."""
    kind = known_kind(start)
    if kind is not None or not start.strip() or NO_TEXT.search(start):
        return kind
    return FileKind("a STAR file" if STAR_KEYWORD.search(start) else "text")


def refusal(path: Path, kind: FileKind, expected: str) -> str:
    """Word the refusal of a file of another format than the one that is expected there."""
    return f"{path}: found {kind.what}, expected {expected}" + (f": {kind.way_out}" if kind.way_out else "")


def refuse_foreign(path: Path, expected: str) -> None:
    """Refuse a file that begins with the mark of another format.

    Raises
    ------
    ValueError
        Names the file and its format.
    """
    kind = known_kind(first_bytes(path))
    if kind is not None:
        raise ValueError(refusal(path, kind, expected))
