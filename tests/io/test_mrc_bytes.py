"""Bytes of mode 0: signed or not by IMOD's stamp, by the header's statistics, or by the histogram."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from napari_cryospin.io.mrc import open_stack

UNKNOWN = (0.0, -1.0)
"""Minimum and maximum of a header that does not know them."""


def grey_values(*, unsigned: bool, mean: float | None = None, sd: float = 30.0) -> np.ndarray:
    """`(40, 16, 16)` noise about the middle of the range, cut off at its ends."""
    low, high, middle = (0, 255, 128) if unsigned else (-128, 127, 0)
    noise = np.random.default_rng(0).normal(middle if mean is None else mean, sd, (40, 16, 16))
    return noise.round().clip(low, high).astype(np.uint8 if unsigned else np.int8)


def write_bytes(
    path: Path, values: np.ndarray, statistics: tuple[float, float] | None, stamp: int | None = None
) -> Path:
    """Write a stack of mode 0 with these statistics (None: the right ones) and IMOD's stamp with these flags."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(values.view(np.int8))
        lowest, highest = (values.min(), values.max()) if statistics is None else statistics
        mrc.header.dmin, mrc.header.dmax = lowest, highest
    if stamp is not None:
        content = bytearray(path.read_bytes())
        content[152:160] = np.array([1146047817, stamp], "<i4").tobytes()
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("unsigned", [True, False])
@pytest.mark.parametrize("statistics", [None, UNKNOWN, (0.0, 0.0), (-3.5, 4.2), (np.nan, np.nan)])
@pytest.mark.parametrize(("mean", "sd"), [(None, 30.0), (None, 70.0), (60.0, 25.0)])
def test_signs_are_found_without_a_stamp(tmp_path, unsigned, statistics, mean, sd) -> None:
    values = grey_values(unsigned=unsigned, mean=mean, sd=sd)
    path = write_bytes(tmp_path / "a.mrcs", values, statistics)
    np.testing.assert_array_equal(open_stack(path), values)


def test_header_range_of_unsigned_bytes_is_believed(tmp_path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (8, 16, 16)).astype(np.uint8)  # the histogram tells nothing
    np.testing.assert_array_equal(open_stack(write_bytes(tmp_path / "a.mrcs", values, (0, 255))), values)
    signed = write_bytes(tmp_path / "b.mrcs", values.view(np.int8), (-128, 127))
    np.testing.assert_array_equal(open_stack(signed), values.view(np.int8))


@pytest.mark.parametrize(("stamp", "unsigned"), [(0, True), (1, False), (4, True), (5, False)])
@pytest.mark.parametrize("statistics", [None, UNKNOWN])
def test_stamp_of_imod_is_believed(tmp_path, stamp, unsigned, statistics) -> None:
    values = grey_values(unsigned=unsigned)
    path = write_bytes(tmp_path / "a.mrcs", values, statistics, stamp)
    np.testing.assert_array_equal(open_stack(path), values)


def test_bytes_of_imod_are_unsigned(tmp_path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert open_stack(write_bytes(tmp_path / "a.mrcs", values.view(np.int8), (-128, 127))).min() == -128
    np.testing.assert_array_equal(open_stack(write_bytes(tmp_path / "a.mrcs", values, (-128, 127), 0)), values)


@pytest.mark.parametrize("unsigned", [True, False])
def test_histogram_decides_between_stamp_and_statistics(tmp_path, unsigned) -> None:
    """The header was taken over from another file, the stamp with it."""
    values = grey_values(unsigned=unsigned)
    path = write_bytes(tmp_path / "a.mrcs", values, None, stamp=int(unsigned))
    np.testing.assert_array_equal(open_stack(path), values)


def test_bytes_of_which_nothing_tells_are_refused(tmp_path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (8, 16, 16)).astype(np.uint8)
    path = write_bytes(tmp_path / "a.mrcs", values, UNKNOWN)
    with pytest.raises(ValueError, match=r"a.mrcs: MRC mode 0, whose bytes may be signed or not.*convert it to mode 2"):
        open_stack(path)


@pytest.mark.parametrize("low", [1, 128])
def test_bytes_that_are_the_same_either_way_are_read(tmp_path, low) -> None:
    values = np.random.default_rng(0).integers(low, low + 127, (8, 16, 16)).astype(np.uint8)
    stored = open_stack(write_bytes(tmp_path / "a.mrcs", values, UNKNOWN)).astype(int)
    assert len(np.unique(stored - values.astype(int))) == 1
