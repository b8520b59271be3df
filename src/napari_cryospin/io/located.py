"""Steps that the readers of all particle formats share: the search for the images, and checks of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.advice import Advice
from napari_cryospin.io.files import find_stacks
from napari_cryospin.io.mrc import stack_header

SMALLEST_BOX = 16
"""Smallest box that is read, pixels. Chosen by hand."""
SAME_SIZE = 0.01
"""Sizes (pixel sizes, sides of boxes) that differ by less than this share count as the same.

Programs round them differently. Chosen by hand.
"""


@dataclass(frozen=True, kw_only=True)
class LocatedImages:
    """Places of the particles' images: the fields of `Particles` of the same names."""

    stacks: tuple[Path, ...]
    stack_index: NDArray[np.int32]
    slice_index: NDArray[np.int64]
    box_sizes: NDArray[np.int32]


def locate_images(
    names: Sequence[str],
    stack_index: NDArray[np.int32],
    slice_index: NDArray[np.int64],
    *,
    source: Path,
    stated_boxes: NDArray[Any] | None = None,
    data_dir: Path | None = None,
    require_stacks: bool = True,
) -> LocatedImages:
    """Find the stacks, and check the box and the number of images of each against the particle file.

    Parameters
    ----------
    names
        Names of the stacks in the particle file.
    stack_index, slice_index
        `(n,)` position of a particle's stack in `names`, and `(n,)` position of its image in the stack, from 0.
    source
        The particle file.
    stated_boxes
        `(n,)` boxes in pixels, if the particle file states them.
    data_dir
        A further folder to look for stacks in.
    require_stacks
        Raise an error if a stack is missing.

    Raises
    ------
    FileNotFoundError, ValueError
        Stacks are missing (the message names all of them), a position lies beyond the end of a stack, or a box is odd,
        too small, or not the stated one.
    """
    stacks = find_stacks(names, source, data_dir, require_stacks=require_stacks)
    # A missing stack that is not required has 0 as its number of images and as its box, which means: not known.
    sizes = [stack_header(path)[:2] if path.is_file() else (0, 0) for path in stacks]
    counts, boxes = np.array(sizes, dtype=np.int64).T[:, stack_index]
    beyond = (counts > 0) & (slice_index >= counts)
    if beyond.any():
        row = int(beyond.argmax())
        stack = stacks[stack_index[row]]
        raise ValueError(
            f"{source}: row {row + 1}: found image {slice_index[row] + 1} of {stack}, expected 1 to {counts[row]}"
        )
    if stated_boxes is not None:
        differs = (boxes > 0) & (stated_boxes != boxes)
        if differs.any():
            row = int(differs.argmax())
            stack = stacks[stack_index[row]]
            raise ValueError(
                f"{source}: row {row + 1}: found a box of {boxes[row]} px in {stack}, expected {stated_boxes[row]:g} px"
            )
        boxes = np.where(boxes > 0, boxes, stated_boxes)
    _check_boxes(boxes, source)
    return LocatedImages(
        stacks=stacks, stack_index=stack_index, slice_index=slice_index, box_sizes=boxes.astype(np.int32)
    )


def _check_boxes(boxes: NDArray[Any], source: Path) -> None:
    """Raise an error if a box is odd or too small; 0 stands for a box that is not known."""
    bad = (boxes != 0) & ((boxes % 2 != 0) | (boxes < SMALLEST_BOX))
    if bad.any():
        row = int(bad.argmax())
        expected = f"an even one of at least {SMALLEST_BOX} px"
        raise ValueError(f"{source}: row {row + 1}: found a box of {boxes[row]:g} px, expected {expected}")


def check_pixel_sizes(pixel_sizes: NDArray[np.float64], source: Path, field: str) -> NDArray[np.float64]:
    """Return the `(n,)` pixel sizes (A) if all are above 0, else raise an error."""
    return check_column(pixel_sizes, pixel_sizes > 0, source, field, "a pixel size above 0 A")


class PixelSizeMissingError(ValueError):
    """A file says no pixel size, and none is given.

    Parameters
    ----------
    found
        The file, and what it says instead.
    """

    def __init__(self, found: str) -> None:
        super().__init__(Advice(f"{found}; give that of the images", "pixel_size"))


def check_given_pixel_size(given: float, stated: NDArray[np.float64], source: Path) -> None:
    """Refuse a pixel size that is given where the file states another; both in A, `(n,)` of the file."""
    differs = np.abs(stated - given) > SAME_SIZE * stated
    if differs.any():
        row = int(differs.argmax())
        found = f"{source}: row {row + 1}: says a pixel size of {stated[row]:.6g} A"
        raise ValueError(Advice(f"{found}; expected none or the same, found {given:g} A", "pixel_size"))


def check_column(
    values: NDArray[Any], good: NDArray[np.bool_], source: Path | str, field: str, expected: str
) -> NDArray[Any]:
    """Return a column if all of its values are good and finite.

    Parameters
    ----------
    values
        `(n,)` values of the column.
    good
        `(n,)` whether each value is good.
    source, field
        File and name of the column, for messages.
    expected
        What an error message says is expected.

    Raises
    ------
    ValueError
        A value is not good; the message names the first one.
    """
    bad = ~(good & np.isfinite(values))
    if bad.any():
        row, count = int(bad.argmax()), int(bad.sum())
        others = f" ({count:,} such rows)" if count > 1 else ""
        raise ValueError(f"{source}: row {row + 1}, {field}: found {values[row]:g}, expected {expected}{others}")
    return values


def both_half_sets(numbers: NDArray[Any]) -> NDArray[np.int8] | None:
    """Return the half sets, `(n,)`, as they are given, or None unless all of them are 1 or 2 and both occur."""
    return numbers.astype(np.int8) if set(np.unique(numbers)) == {1, 2} else None
