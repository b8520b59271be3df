"""Stacks of images on disk."""

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import NDArray


def write_stack(path: Path | str, images: NDArray[Any], pixel_size: float) -> None:
    """Write `(k, n, n)` images as a stack: float16 in mode 12, all others as float32; the pixel size is in Angstrom."""
    values = images if images.dtype == np.float16 else images.astype(np.float32)
    with mrcfile.new(path, values, overwrite=True) as mrc:
        mrc.set_image_stack()
        mrc.voxel_size = pixel_size
