"""The explicit Hartley volume in closed form: a running Wiener average of the assigned images.

With the poses given, the volume that explains the images best is a weighted average in Fourier space; no gradient
steps are needed (docs/method.md, Why it is fast). Numerator and denominator of that average are stored for each of two
folds, so that a particle can be compared with a volume that has not seen it. Older images fade.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.geometry.symmetry import PointGroup, point_group
from napari_cryospin.models.volume import BAND_MARGIN
from napari_cryospin.physics.fourier import grid_envelope, hartley_to_map, map_to_hartley
from napari_cryospin.physics.gradient_lattices import gradient_lattices
from napari_cryospin.physics.masks import raised_cosine_tensor
from napari_cryospin.physics.slicing import central_slices, crop_lattice, insert_slices
from napari_cryospin.physics.symmetrise import interpolated_share, symmetrised

GAPS = 0.05
"""Share of a shell's mean weight that is added to every weight of an unfiltered average. Points that no image covers
would else be divided by zero."""
SIGNAL_FLOOR = 1e-3
"""Least power of the signal, as a share of the unfiltered average's power. A shell without signal is then divided by a
large but finite number."""


class WienerVolume:
    """Volume in closed form, on a lattice that is no larger than its band needs.

    Parameters
    ----------
    box_size : int
        Box of the map, pixels.
    padding : int
        Oversampling of the lattice.
    first_band : int
        Shells of the random volume at the start.
    mask_radius : float
        Radius of the spherical mask, as a fraction of the box.
    symmetry : str
        Name of the map's point group.

    Attributes
    ----------
    sums : Tensor
        `(2, 2, G, G, G)`: of each fold, numerator and denominator, of the images as they were inserted. Symmetric
        copies are added when the volume is solved.
    symmetry : PointGroup
        Point group that the map has.
    """

    takes_maps = True

    def __init__(
        self,
        box_size: int,
        padding: int,
        *,
        first_band: int,
        mask_radius: float,
        symmetry: str = "C1",
        amplitude: float = 0.5,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.box_size, self.padding, self.mask_radius = box_size, padding, mask_radius
        self.symmetry: PointGroup = point_group(symmetry)
        self.band = 0
        self.sums = torch.zeros(2, 2, 1, 1, 1, device=device)
        self.set_band(first_band)
        size = self.sums.shape[-1]
        start = (amplitude * torch.randn(size, size, size, generator=generator)).to(device)
        start[self._radius() > first_band] = 0
        start = symmetrised(start, self.symmetry) / math.sqrt(self.symmetry.order)
        self._take(hartley_to_map(start, self.inner_box) * self._mask())

    @property
    def inner_box(self) -> int:
        """Smallest box that holds the band, pixels; its field of view is that of the full box."""
        return min(2 * (self.band + BAND_MARGIN), self.box_size)

    def _radius(self) -> Tensor:
        axis = (torch.arange(self.sums.shape[-1], device=self.sums.device) - self.sums.shape[-1] // 2) / self.padding
        square = axis.square()
        return (square[:, None, None] + square[:, None] + square).sqrt()

    def _mask(self) -> Tensor:
        n = self.inner_box
        square = ((torch.arange(n, device=self.sums.device) - n // 2) / n).square()
        distance = (square[:, None, None] + square[:, None] + square).sqrt()
        edge = 0.06
        return raised_cosine_tensor(distance - self.mask_radius + edge, edge)

    def set_band(self, band: int) -> None:
        """Change the band; the shells that both bands share stay in the sums and in the volume."""
        old_sums, old = self.sums, self.hartley() if self.band else None
        self.band = band
        size = self.padding * self.inner_box + 1
        if size == old_sums.shape[-1]:
            return
        self.sums = _resized(old_sums, size)
        if old is not None:
            self._take(hartley_to_map(_resized(old, size), self.inner_box))

    def _take(self, density: Tensor) -> None:
        self.density = density
        self.lattice = map_to_hartley(density, self.padding)

    def take_map(self, density: Tensor) -> None:
        """Replace the volume by an `(n, n, n)` map, as far as its band holds it, made symmetric; empty the sums."""
        lattice = _resized(map_to_hartley(density, self.padding), self.sums.shape[-1])
        lattice = symmetrised(lattice, self.symmetry) / self.symmetry.order
        self.sums = torch.zeros_like(self.sums)
        self._take(hartley_to_map(lattice, self.inner_box) * self._mask())

    def insert(self, rotations: Tensor, points: Tensor, values: Tensor, weights: Tensor, folds: Tensor) -> None:
        """Add images to the sums at their poses.

        Parameters
        ----------
        rotations : Tensor
            `(b, 3, 3)`.
        points : Tensor
            `(p, 2)`.
        values : Tensor
            `(b, p)` complex: centred image times CTF, over the noise variance.
        weights : Tensor
            `(b, p)` squared CTF over the noise variance.
        folds : Tensor
            `(b,)` 0 or 1.
        """
        own = [(folds == fold).nonzero()[:, 0] for fold in (0, 1)]
        # The shorter list is filled with images of no weight.
        chosen = torch.nn.utils.rnn.pad_sequence(own, batch_first=True)
        present = torch.nn.utils.rnn.pad_sequence([torch.ones_like(each) for each in own], batch_first=True)[..., None]
        part = (rotations[chosen], points, values[chosen] * present, weights[chosen] * present)
        self.sums += insert_slices(*part, size=self.sums.shape[-1], padding=self.padding)

    def forget(self, factor: float) -> None:
        """Multiply the sums by a factor, so that the images inserted so far fade."""
        self.sums *= factor

    def move(self, offset: Tensor) -> None:
        """Move the map by `(3,)` fractions of the box, `(x, y, z)`."""
        size = self.sums.shape[-1]
        axis = (torch.arange(size, device=self.sums.device) - size // 2) * (2 * torch.pi / self.padding)
        x, y, z = offset.to(self.sums)
        angle = x * axis + y * axis[:, None] + z * axis[:, None, None]
        numerator = self.sums[:, 0]
        self.sums[:, 0] = numerator * angle.cos() + numerator.flip(1, 2, 3) * angle.sin()
        self.solve()

    def solve(self) -> None:
        """Compute the volume from the sums."""
        folds = self._copies()
        self._take(self._average(folds.sum(0), folds))

    def fold_average(self, fold: int) -> Tensor:
        """Compute the Wiener average `(m, m, m)` of one fold alone, with the filter of both."""
        folds = self._copies()
        return self._average(folds[fold], folds)

    def denominator(self) -> Tensor:
        """Compute what `solve` divides the images' sum by: their weights and the filter's term, `(G, G, G)`."""
        folds = self._copies()
        return folds[:, 1].sum(0) + self._filter(self._shells(), folds)

    def made_of(self, numerator: Tensor, denominator: Tensor) -> Tensor:
        """Make the map `(m, m, m)` of another sum of images `(G, G, G)` over a denominator."""
        return self._finished(symmetrised(numerator, self.symmetry) / denominator)

    def differing_fold_average(self, fold: int, all_sums: Tensor) -> Tensor:
        """Compute the average `(m, m, m)` of one fold, drawn to the map of all classes where the classes do not differ.

        The map is that of all classes plus a difference, whose Wiener filter asks how strong it is in both folds alike.
        In shells in which classes do not differ measurably, all of them so have the same map, however few particles a
        class has.

        Parameters
        ----------
        fold : int
            0 or 1.
        all_sums : Tensor
            `(2, 2, G, G, G)` sums of all classes together.
        """
        both, own, shells = symmetrised(all_sums, self.symmetry), self._copies(), self._shells()
        common = both[fold, 0] / (both[fold, 1] + self._filter(shells, both))
        differing = torch.stack((own[:, 0] - own[:, 1] * common, own[:, 1]), dim=1)
        return self._finished(common + differing[fold, 0] / (differing[fold, 1] + self._filter(shells, differing)))

    def _copies(self) -> Tensor:
        """Add to the sums those of the images' symmetric copies: `(2, 2, G, G, G)`."""
        return symmetrised(self.sums, self.symmetry)

    def _average(self, sums: Tensor, folds: Tensor) -> Tensor:
        """Compute the Wiener average of sums `(2, G, G, G)`, with the filter that the folds ask for."""
        numerator, denominator = sums
        return self._finished(numerator / (denominator + self._filter(self._shells(), folds)))

    def _shells(self) -> _Shells:
        last = self.inner_box // 2
        return _Shells.of(self._radius().round().long().clamp(max=last), last + 1)

    def _filter(self, shells: _Shells, folds: Tensor) -> Tensor:
        """Compute the term `(G, G, G)` that the Wiener filter adds to the denominator."""
        return (1 / self._signal(shells, folds))[shells.index]

    def _finished(self, hartley: Tensor) -> Tensor:
        # Insertion blurred the lattice with the interpolation's kernel, as some of the symmetric copies were once more,
        # and reading it will do so again.
        envelope, share = grid_envelope(self.inner_box, self.padding, hartley.device), interpolated_share(self.symmetry)
        blurred = envelope.square() * (1 - share + share * envelope)
        return hartley_to_map(hartley, self.inner_box) / blurred * self._mask()

    def _signal(self, shells: _Shells, folds: Tensor) -> Tensor:
        """Estimate the power of the signal `(shells,)` for the Wiener filter, from the sums of both folds.

        It is the product of the two folds' averages, in which noise cancels, however uneven the view directions are.
        The map fills the box, which is only a part of the field of view that the oversampled lattice could hold.
        Neighbouring points of the lattice therefore share one coefficient, and the filter's term of each point is
        smaller by the cube of the padding.
        """
        first, second = (_ratio(fold, shells) for fold in folds)
        power = shells.mean(_ratio(folds.sum(0), shells).square())
        common = shells.mean(first * second)
        return common.maximum(SIGNAL_FLOOR * power) * self.padding**3 + 1e-12

    def hartley(self, band: int | None = None) -> Tensor:
        """Return the lattice `(G, G, G)`, or its middle as far as slices of a band read it."""
        return self.lattice if band is None else crop_lattice(self.lattice, band, self.padding)

    def slices(self, rotations: Tensor, points: Tensor, band: int) -> Tensor:
        """Compute slices `(..., p)` at poses `(..., 3, 3)` and points `(p, 2)`."""
        return central_slices(self.hartley(band), rotations, points, self.padding)

    def gradient_lattices(self, density: Tensor | None = None) -> Tensor:
        """Make the lattices `(4, G, G, G)` of this map, or of another one, and of its derivatives."""
        return gradient_lattices(self.density if density is None else density, self.padding)

    def to_map(self, *, filtered: bool = True) -> Tensor:
        """Make the map `(n, n, n)`, `[z, y, x]`, at the full box; with or without the Wiener filter."""
        lattice = self.lattice if filtered else map_to_hartley(self.band_map(), self.padding)
        return hartley_to_map(_resized(lattice, self.padding * self.box_size + 1), self.box_size)

    def band_map(self) -> Tensor:
        """Make the unfiltered map `(m, m, m)` of the inner box."""
        return self._finished(_ratio(self._copies().sum(0), self._shells()))

    def fold_maps(self, *, filtered: bool = True) -> tuple[Tensor, Tensor]:
        """Make two maps `(m, m, m)` of the inner box, each of one fold alone; with or without the Wiener filter."""
        folds = self._copies()
        if not filtered:
            shells = self._shells()
            return self._finished(_ratio(folds[0], shells)), self._finished(_ratio(folds[1], shells))
        return self._average(folds[0], folds), self._average(folds[1], folds)

    def state_dict(self) -> dict[str, Any]:
        """Return the band, the symmetry, the sums and the map as the state."""
        names = {"band": self.band, "symmetry": self.symmetry.name}
        return {**names, "sums": self.sums, "density": self.density}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of a volume of the same box and padding; it is copied."""
        self.band, self.symmetry = int(state["band"]), point_group(state["symmetry"])
        device = self.sums.device
        self.sums = state["sums"].to(device, copy=True)
        self._take(state["density"].to(device, copy=True))


@dataclass(frozen=True)
class _Shells:
    """The shells of a lattice."""

    index: Tensor  # (G, G, G) int64, of each point of the lattice
    count: Tensor  # (shells,) int64, points of each

    @classmethod
    def of(cls, index: Tensor, number: int) -> _Shells:
        """Count the points of each shell. `torch.bincount`, which needs no `number`, would wait for the device."""
        flat = index.flatten()
        return cls(index, flat.new_zeros(number).index_add_(0, flat, torch.ones_like(flat)))

    def mean(self, values: Tensor) -> Tensor:
        """Average values `(G, G, G)` over each shell: `(shells,)`."""
        sums = values.new_zeros(len(self.count)).index_add_(0, self.index.flatten(), values.flatten())
        return sums / self.count


def _ratio(sums: Tensor, shells: _Shells) -> Tensor:
    """Divide numerator by denominator `(2, G, G, G)` without the Wiener filter, regularised by `GAPS`: `(G, G, G)`."""
    numerator, denominator = sums
    return numerator / (denominator + GAPS * shells.mean(denominator)[shells.index] + 1e-9)


def _resized(lattice: Tensor, size: int) -> Tensor:
    """Crop a lattice about its middle, or pad it with zeros: `(..., size, size, size)`."""
    margin = (size - lattice.shape[-1]) // 2
    return torch.nn.functional.pad(lattice, (margin,) * 6)
