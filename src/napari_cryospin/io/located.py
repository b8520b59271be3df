"""Steps that all particle readers share: finding the images, and checking what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.files import find_stacks
from napari_cryospin.io.mrc import stack_header

SMALLEST_BOX = 16
CTF_LIMITS = {
    "defocus_u": (-1e5, 1e6, "a defocus in A, at most 1000000 (100 um)"),
    "defocus_v": (-1e5, 1e6, "a defocus in A, at most 1000000 (100 um)"),
    "voltage": (1e-3, 3000.0, "a voltage above 0 kV, at most 3000"),
    "spherical_aberration": (-100.0, 100.0, "a spherical aberration in mm, at most 100"),
    "amplitude_contrast": (0.0, 1.0, "an amplitude contrast of 0 to 1, as a fraction"),
}
"""Least and largest value of CTF parameters that can be a microscope's, and how that is said."""


@dataclass(frozen=True, kw_only=True)
class LocatedImages:
    """Where every particle's image lies; fields as those of `Particles`."""

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
    """Find the stacks, and check box and number of images of each against what the particle file says.

    Parameters
    ----------
    names
        Stacks as named in the particle file.
    stack_index, slice_index
        `(n,)` position in `names`, and 0-based position in the stack.
    source
        The particle file.
    stated_boxes
        Pixels `(n,)`, where the file says so.
    data_dir
        A further folder to look in.
    require_stacks
        Refuse where a stack is missing.

    Raises
    ------
    FileNotFoundError, ValueError
        Stacks are missing (all are named), a position lies beyond a stack, or a box is odd, too small or not as stated.
    """
    stacks = find_stacks(names, source, data_dir, require_stacks=require_stacks)
    # Stacks that are missing (and need not be there) have no count and no box.
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
    """Refuse odd and small boxes; 0 is a box that is not known."""
    bad = (boxes != 0) & ((boxes % 2 != 0) | (boxes < SMALLEST_BOX))
    if bad.any():
        row = int(bad.argmax())
        expected = f"an even one of at least {SMALLEST_BOX} px"
        raise ValueError(f"{source}: row {row + 1}: found a box of {boxes[row]:g} px, expected {expected}")


def check_pixel_sizes(pixel_sizes: NDArray[np.float64], source: Path, field: str) -> NDArray[np.float64]:
    """Return the pixel sizes (A), if all are above 0."""
    return check_column(pixel_sizes, pixel_sizes > 0, source, field, "a pixel size above 0 A")


def check_ctf(
    values: Mapping[str, NDArray[np.float64]], source: Path | str, columns: Mapping[str, str] | None = None
) -> None:
    """Refuse CTF parameters (by the names of `CtfParameters`) that are no microscope's, as in another unit.

    `columns`: what the file calls them.
    """
    for name, (low, high, expected) in CTF_LIMITS.items():
        column = values[name]
        check_column(column, (column >= low) & (column <= high), source, (columns or {}).get(name, name), expected)


def check_column(
    values: NDArray[Any], good: NDArray[np.bool_], source: Path | str, field: str, expected: str
) -> NDArray[Any]:
    """Return a column, if all its values are good; else raise an error that names the first that is not."""
    bad = ~(good & np.isfinite(values))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{source}: row {row + 1}, {field}: found {values[row]:g}, expected {expected}")
    return values


def both_half_sets(numbers: NDArray[Any]) -> NDArray[np.int8] | None:
    """Return half sets `(n,)` as given, or None unless they are 1 and 2 and both occur."""
    return numbers.astype(np.int8) if set(np.unique(numbers)) == {1, 2} else None
