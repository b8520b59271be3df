"""Particles: memory-mapped images with CTF, poses and half sets, checked and in the package's conventions.

The readers in `io` make them; no other code depends on the format of the file that a number came from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.listing import first_of

MAPPED = 32
"""Number of images that are read through one memory map of their stack, after which it is closed."""

Group = TypeVar("Group", "CtfParameters", "Particles")


@dataclass(frozen=True, kw_only=True)
class CtfParameters:
    """CTF of every particle; all arrays `(n,)` float64, RELION's conventions."""

    defocus_u: NDArray[np.float64]
    """A, underfocus positive."""
    defocus_v: NDArray[np.float64]
    """A."""
    defocus_angle: NDArray[np.float64]
    """Degrees from +x to the direction of `defocus_u`."""
    voltage: NDArray[np.float64]
    """kV."""
    spherical_aberration: NDArray[np.float64]
    """mm."""
    amplitude_contrast: NDArray[np.float64]
    """Fraction."""
    phase_shift: NDArray[np.float64]
    """Degrees."""
    scale: NDArray[np.float64]
    """Factor of the whole CTF."""
    b_factor: NDArray[np.float64]
    """A^2."""

    def select(self, indices: ArrayLike) -> CtfParameters:
        """Select the CTF of the particles at `(k,)` rows, in the order given."""
        return _select_rows(self, np.asarray(indices))


CTF_PARAMETERS = tuple(field.name for field in dataclasses.fields(CtfParameters))
"""Names of the nine parameters, in the order of the columns of every table and tensor of them."""


def electron_wavelength(voltage: Any) -> Any:
    """Return the relativistic wavelength in A of electrons accelerated by `voltage` kV, an array or a tensor."""
    volts = voltage * 1e3
    return 12.2643247 / (volts * (1 + 0.978466e-6 * volts)) ** 0.5


@dataclass(frozen=True, kw_only=True)
class Aberrations:
    """Aberrations beyond those in `CtfParameters`, in RELION's conventions; the same for all particles of a group.

    Coefficients are those of Zernike polynomials of the frequency in 1/A, in RELION's order (`geometry.zernike`).
    """

    groups: NDArray[np.int32]
    """`(n,)` each particle's row of the arrays below."""
    odd: NDArray[np.float64]
    """`(g, k)` antisymmetric: an image's transform has the phase `exp(i phase)` (beam tilt, coma, trefoil)."""
    even: NDArray[np.float64]
    """`(g, k)` symmetric: added to the phase of the CTF (tetrafoil)."""
    magnification: NDArray[np.float64]
    """`(g, 2, 2)` matrix from the frequencies `(kx, ky)` of an image to those of the map and of the CTF."""

    def select(self, rows: NDArray[Any]) -> Aberrations:
        """Select the particles at `(k,)` rows, in the order given."""
        return dataclasses.replace(self, groups=self.groups[rows])

    @property
    def magnified(self) -> bool:
        """Whether the magnification of any group differs from 1, or with the direction."""
        return bool((self.magnification != np.eye(2)).any())

    def shifts_of_images(self, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return shifts `(n, 2)` in the frame of the images as they are stored, of those in the frame of the map."""
        moved: NDArray[np.float64] = np.einsum("nij,ni->nj", self.magnification[self.groups], shifts)
        return moved

    def shifts_of_map(self, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return shifts `(n, 2)` in the frame of the map, of those in the frame of the images as they are stored."""
        inverse = np.linalg.inv(self.magnification)
        moved: NDArray[np.float64] = np.einsum("nij,ni->nj", inverse[self.groups], shifts)
        return moved

    def __str__(self) -> str:
        kinds = {
            "antisymmetric (beam tilt, trefoil)": self.odd.any(),
            "symmetric (tetrafoil)": self.even.any(),
            "magnification": self.magnified,
        }
        return ", ".join(name for name, there in kinds.items() if there)


@dataclass(frozen=True, kw_only=True)
class Picks:
    """Where the particles were picked; a run needs only which of them share a micrograph, other programs need all."""

    micrographs: tuple[str, ...]
    """Names, as the particles' file has them."""
    micrograph_index: NDArray[np.int32]
    """`(n,)` position in `micrographs`."""
    coordinates: NDArray[np.float64] | None
    """Pixels `(n, 2)`, (x, y), y counted from the first row of the micrograph's file; None: not known."""
    sizes: NDArray[np.int64] | None
    """Pixels `(m, 2)` of each micrograph, (x, y); None: not known."""

    def select(self, rows: NDArray[Any]) -> Picks:
        """Select the particles at `(k,)` rows, in the order given."""
        coordinates = None if self.coordinates is None else self.coordinates[rows]
        return dataclasses.replace(self, micrograph_index=self.micrograph_index[rows], coordinates=coordinates)


def no_images(path: Path) -> NDArray[Any]:
    """Stand in for the opener of stacks where particles were made without images."""
    raise ValueError(f"{path}: these particles were made without a way to read images")


@dataclass(frozen=True, kw_only=True)
class Particles:
    """A particle set: the place of each image, with its CTF, pose, half set and optics group.

    Images stay on disk; `read_images` reads some of them.
    """

    stacks: tuple[Path, ...]
    """Files of images."""
    stack_index: NDArray[np.int32]
    """`(n,)` position in `stacks`."""
    slice_index: NDArray[np.int64]
    """`(n,)` 0-based position within the stack."""
    box_sizes: NDArray[np.int32]
    """Pixels `(n,)`; 0 where the stack is missing and the particles' file does not state the box either."""
    pixel_sizes: NDArray[np.float64]
    """A `(n,)`."""
    contrast: NDArray[np.float32]
    """`(n,)` +1, or -1 where the protein is dark: images are multiplied by it on reading."""
    ctf: CtfParameters | None
    """None: CTF off."""
    aberrations: Aberrations | None = None
    """None: no aberrations beyond those in `ctf`."""
    ctf_premultiplied: bool = False
    """Images were multiplied by their CTF: the model is CTF^2."""
    phase_flipped: bool = False
    """Phases were flipped: the model is the absolute value of the CTF."""
    rotations: NDArray[np.float64] | None
    """`(n, 3, 3)` RELION's matrix: map's frame to image's frame."""
    shifts: NDArray[np.float64] | None
    """A `(n, 2)`, (x, y): the translation that centres the image, once its magnification is corrected."""
    half_sets: NDArray[np.int8] | None
    """`(n,)` 1 or 2."""
    optics_groups: NDArray[np.int32]
    """`(n,)` 0-based."""
    picks: Picks | None = None
    """None: the file names no micrographs."""
    source: Path
    """The file that was opened."""
    relations: NDArray[np.int64] | None = None
    """`(n, kinds)` number of the group that a particle belongs to, by each kind of relation that the file states, such
    as its helical tube; -1: none. None: no particles are related."""
    table: Any = None
    """All columns of that file, one row a particle, so that a writer can keep them; `table[indices]` selects rows."""
    notes: tuple[str, ...] = ()
    """Remarks for the user."""
    unused: tuple[str, ...] = ()
    """Columns of that file that other programs reckon with, and a run does not."""
    opened_with: Mapping[str, Any] | None = None
    """Options with which `io.open.open_particles` made it from `source`; None: it differs from that file."""
    open_stack: Callable[[Path], NDArray[Any]] = dataclasses.field(default=no_images, repr=False, compare=False)
    """Opens a file of `stacks` as a memory map `(images, box, box)`."""

    def __len__(self) -> int:
        return len(self.stack_index)

    def select(self, indices: ArrayLike) -> Particles:
        """Select the particles at `(k,)` rows, in the order given."""
        rows = np.asarray(indices)
        ctf = None if self.ctf is None else self.ctf.select(rows)
        table = None if self.table is None else self.table[rows]
        picks = None if self.picks is None else self.picks.select(rows)
        aberrations = None if self.aberrations is None else self.aberrations.select(rows)
        selected: dict[str, Any] = {"ctf": ctf, "picks": picks, "aberrations": aberrations, "table": table}
        return dataclasses.replace(_select_rows(self, rows), **selected, opened_with=None)

    def shifts_of_images(self, shifts: ArrayLike) -> NDArray[np.float64]:
        """Return shifts `(n, 2)` as files have them: in the frame of the images as they are stored."""
        values = np.asarray(shifts, dtype=np.float64)
        return values if self.aberrations is None else self.aberrations.shifts_of_images(values)

    def with_contrast(self, sign: float) -> Particles:
        """Return the same particles with their contrast multiplied by `sign`: +1 or -1."""
        return dataclasses.replace(self, contrast=self.contrast * np.float32(sign), opened_with=None)

    def common_frame(self) -> tuple[int, float]:
        """Compute the box that all images can be brought to: an even number of pixels at most, and its side in A.

        The side is that of the most frequent kind of image; pixels are no finer than the coarsest image's.
        """
        kinds, counts = np.unique(np.stack((self.box_sizes, self.pixel_sizes), axis=-1), axis=0, return_counts=True)
        side = float(kinds[counts.argmax()].prod())
        return 2 * int(side / kinds[:, 1].max() / 2 + 1e-6), side

    def read_images(self, indices: ArrayLike, *, checked: bool = True) -> NDArray[np.float32]:
        """Read `(k, box, box)` images of some particles, protein white, in the order given.

        Parameters
        ----------
        indices
            `(k,)` rows; their boxes must be equal.
        checked
            Whether an image is refused in which nothing can be seen; see `image_faults`.

        Raises
        ------
        ValueError
            Boxes differ, or an image is constant or not finite; names stack and slice.
        """
        rows = np.atleast_1d(np.asarray(indices))
        boxes = np.unique(self.box_sizes[rows])
        if len(boxes) > 1:
            raise ValueError(f"{self.source}: boxes of {first_of(boxes)} px; expected one box at a time")
        images = np.empty((len(rows), *boxes.repeat(2)), dtype=np.float32)
        order = np.lexsort((self.slice_index[rows], self.stack_index[rows]))
        for stack in np.unique(self.stack_index[rows]):
            members = order[self.stack_index[rows[order]] == stack]
            for start in range(0, len(members), MAPPED):
                # Each map lives for a few images: the pages they touch, up to 2 MB each, must not add up in memory.
                stored = self.open_stack(self.stacks[stack])
                part = members[start : start + MAPPED]
                images[part] = stored[self.slice_index[rows[part]]]
        if checked:
            self._check_images(images, rows)
        images *= self.contrast[rows, None, None]
        return images

    def _check_images(self, images: NDArray[np.float32], rows: NDArray[Any]) -> None:
        """Refuse constant images, which cannot be normalised, and images with values that are not finite."""
        for place, found in image_faults(images).items():
            row = int(rows[place])
            stack, number = self.stacks[self.stack_index[row]], self.slice_index[row] + 1
            raise ValueError(f"{stack}: image {number} (particle {row + 1}): {found}; expected an image that varies")


def image_faults(images: NDArray[np.float32]) -> dict[int, str]:
    """Find images in which nothing can be seen: constant ones, and those with values that are not finite.

    Parameters
    ----------
    images
        `(k, n, n)`.

    Returns
    -------
    dict
        Position among the images, ascending -> what was found.
    """
    lowest, highest = images.min((1, 2)), images.max((1, 2))
    useless = ~np.isfinite(lowest) | ~np.isfinite(highest) | (lowest == highest)
    return {
        int(place): f"all pixels are {lowest[place]:g}"
        if lowest[place] == highest[place]
        else "pixels that are no numbers"
        for place in np.flatnonzero(useless)
    }


def _select_rows(group: Group, rows: NDArray[Any]) -> Group:
    """Select the same rows in each array of `group`."""
    arrays = {
        field.name: value[rows]
        for field in dataclasses.fields(group)
        if isinstance(value := getattr(group, field.name), np.ndarray) and field.name != "table"
    }
    return dataclasses.replace(group, **arrays)
