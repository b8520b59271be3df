"""Make the package's sample maps: crop a map's Fourier transform to half its box; written as float16 (MRC mode 12).

    python scripts/make_sample_map.py spliceosome_128.mrc src/napari_cryospin/data/spliceosome_64.mrc --pdb 5NRL

The samples were made from densities computed from the atoms, 128 px each: pre-catalytic spliceosome (PDB 5NRL, 4.33 A a
pixel), SARS-CoV-2 spike, closed (6VXX, 2.13 A), Hsp90-Sba1 (2CG9, 1.5 A).
"""

import argparse

import mrcfile
import numpy as np
from numpy.typing import NDArray


def fourier_crop(density: NDArray[np.floating], box_size: int) -> NDArray[np.float64]:
    """`(n, n, n)` map -> `(box_size, box_size, box_size)`: same mean, same field of view, centre at `box_size // 2`."""
    n = density.shape[0]
    start = n // 2 - box_size // 2
    inner = slice(start, start + box_size)
    transform = np.fft.fftshift(np.fft.fftn(density.astype(np.float64)))[inner, inner, inner]
    cropped = np.fft.ifftn(np.fft.ifftshift(transform)).real
    return cropped * (box_size / n) ** 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="cubic map with an even box")
    parser.add_argument("target", help="map to write")
    parser.add_argument("--pdb", required=True, help="entry that the density was computed from: goes to the header")
    arguments = parser.parse_args()
    with mrcfile.open(arguments.source) as source:
        n = source.data.shape[0]
        pixel_size = float(source.voxel_size.x) * 2
        density = fourier_crop(source.data, n // 2)
    with mrcfile.new(arguments.target, overwrite=True) as target:
        target.set_data((density / density.max()).astype(np.float16))
        target.voxel_size = pixel_size
        target.header.nlabl = 1
        label = f"PDB {arguments.pdb}, density from the atoms, Fourier-cropped; scaled to a maximum of 1"
        target.header.label[0] = label.encode()


if __name__ == "__main__":
    main()
