"""The rotational self-correlation of a map: how much of it is the same after a turn about a point.

A ball is the same after every turn, and says nothing of symmetry. Correlations are therefore those of what differs from
one direction to another: 1 where the turned map is the same, and 0 on average over all turns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.physics.fourier import map_to_hartley
from napari_cryospin.physics.map_crop import fourier_crop_map
from napari_cryospin.physics.masks import raised_cosine_tensor
from napari_cryospin.physics.slicing import read_lattice

INNERMOST_SHELL = 2
"""First shell that is compared: the one before it tells only where the map lies, and how long it is."""
SPARE_SHELLS = 3
"""Shells beyond the band that the cropped map keeps, as room for interpolation; chosen by hand."""
LATTICE_OVERSAMPLING = 2
"""Oversampling of the lattices: values between their points are then exact to about 1 %."""
LOOKED_AT, LOOKED_AT_EDGE = 0.42, 0.06
"""Radius and edge of the sphere outside which a map is not looked at, as fractions of the box; chosen by hand."""
TURNS_OF_THE_BALL = 400
"""Random turns over which the correlation is averaged for what all directions share; chosen by hand."""
LEAST_DIVISOR = 1e-6
"""Least number that a correlation is divided by: maps that are empty, or balls, have none to divide."""
POINTS, FEW_POINTS = 1500, 400
"""Points in Fourier space at which the maps are compared, in all shells and in few; chosen by hand."""
HELD_READS = 2**20
"""Values of a map read at a time; chosen by hand."""


class SelfCorrelation:
    """Self-correlation of a map, or correlation of two maps of the same particle in one frame.

    Where two maps are given, whose noise is independent, correlations are divided by the one without a turn: noise then
    takes nothing away from an exact symmetry.

    Parameters
    ----------
    first, second : Tensor
        `(n, n, n)` maps; the same one twice, if there is one only.
    band : int
        Shells that are compared.

    Attributes
    ----------
    centre : Tensor
        `(3,)` centre of mass, from the middle of the box, as a fraction of it, `(x, y, z)`.
    agreement : float
        Correlation of the two maps without a turn, 1 for one map.
    directional : float
        Share of the correlation that differs from one direction to another: 0 for a ball.
    """

    def __init__(self, first: Tensor, second: Tensor, band: int) -> None:
        box = min(first.shape[-1], 2 * (band + SPARE_SHELLS))
        self.band = min(band, box // 2 - 1)
        maps = [_in_sphere(fourier_crop_map(density.float(), box)) for density in (first, second)]
        self.lattices = [map_to_hartley(density, LATTICE_OVERSAMPLING) for density in maps]
        self.centre = centre_of_mass(maps[0] + maps[1])
        self.points = ball_points(self.band, POINTS)
        self.weights = self._weights()
        with torch.no_grad():
            self.agreement = float(self.plain(torch.eye(3)[None], self.centre)[0])
            turns = random_rotations(TURNS_OF_THE_BALL, torch.Generator().manual_seed(0))
            self.ball = float(self.plain(turns, self.centre).mean()) / max(self.agreement, LEAST_DIVISOR)
        self.directional = 1 - self.ball

    def _weights(self) -> Tensor:
        """Compute one weight a shell, which flattens the spectra by half."""
        shell = self.points.norm(dim=-1).round().long()
        power = torch.zeros(self.band + 1)
        for lattice in self.lattices:
            power.index_add_(0, shell, self._read(lattice, self.points).abs().square())
        count = torch.bincount(shell, minlength=self.band + 1).clamp(min=1)
        return (power / count).clamp(min=1e-20).rsqrt()

    def _read(self, lattice: Tensor, where: Tensor) -> Tensor:
        return read_lattice(lattice, where * (LATTICE_OVERSAMPLING / (lattice.shape[-1] // 2)))

    def __call__(self, turns: Tensor, centre: Tensor, band: int | None = None) -> Tensor:
        """Correlate the map with itself after turns `(r, 3, 3)` about a centre `(3,)`: `(r,)`; differentiable.

        Parameters
        ----------
        turns, centre : Tensor
            Rotations, and the place about which they turn the map, in the unit of the attribute.
        band : int, optional
            Compare fewer points, in so many shells only.
        """
        return self._directional(self.plain(turns, centre, band))

    def plain(self, turns: Tensor, centre: Tensor, band: int | None = None) -> Tensor:
        """Correlate the two maps after turns `(r, 3, 3)`, with what all directions share: `(r,)`."""
        points = self.points if band is None else ball_points(min(band, self.band), FEW_POINTS)
        weights = self.weights[points.norm(dim=-1).round().long()]
        first, second = self.lattices
        still, there = self._read(first, points), self._read(second, points)
        norm = ((still.abs().square() * weights).sum() * (there.abs().square() * weights).sum()).sqrt()
        side = (still * self._moved(points, centre)).conj() * (weights / norm.clamp(min=LEAST_DIVISOR))
        parts = turns.split(max(1, HELD_READS // len(points)))
        return torch.cat([self._overlap(second, side, points @ part.mT, centre) for part in parts])

    def mirrored(self, centre: Tensor) -> Tensor:
        """Correlate the map with itself inverted through a centre `(3,)`; a scalar.

        A blob is the same, whatever its axes are, and a molecule is not.
        """
        first, second = (self._read(each, self.points) * self._moved(self.points, centre) for each in self.lattices)
        weights = self.weights[self.points.norm(dim=-1).round().long()]
        norm = ((first.abs().square() * weights).sum() * (second.abs().square() * weights).sum()).sqrt()
        plain = ((first * second).real * weights).sum() / norm.clamp(min=LEAST_DIVISOR)
        return self._directional(plain)

    def _directional(self, plain: Tensor) -> Tensor:
        found = plain / max(self.agreement, LEAST_DIVISOR)
        return (found - self.ball) / max(self.directional, LEAST_DIVISOR)

    def _overlap(self, lattice: Tensor, side: Tensor, where: Tensor, centre: Tensor) -> Tensor:
        return (self._read(lattice, where) * self._moved(where, centre) * side).real.sum(-1)

    def _moved(self, points: Tensor, centre: Tensor) -> Tensor:
        """Compute the phases that move a place of the map to the middle of the box."""
        angle = points @ centre * (2 * torch.pi)
        return torch.polar(torch.ones_like(angle), angle)


def ball_points(band: int, count: int) -> Tensor:
    """Spread points evenly over the shells that are compared, `(count, 3)`, the same ones each time.

    They lie between the points of the lattice, at which a lattice that is read trilinearly has larger values.
    """
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    inner, outer = INNERMOST_SHELL**3, band**3
    return directions * (inner + (outer - inner) * torch.rand(count, 1, generator=generator)) ** (1 / 3)


def centre_of_mass(density: Tensor) -> Tensor:
    """Compute the centre of mass `(3,)` of what stands out of an `(n, n, n)` map, as fractions of the box."""
    above = (density - density.mean() - density.std()).clamp(min=0)
    line = (torch.arange(len(density)) - len(density) // 2) / len(density)
    mass = above.sum().clamp(min=1e-20)
    return torch.stack([(above.sum(axes) @ line) / mass for axes in ((0, 1), (0, 2), (1, 2))])


def _in_sphere(density: Tensor) -> Tensor:
    n = len(density)
    square = ((torch.arange(n) - n // 2) / n).square()
    distance = (square[:, None, None] + square[:, None] + square).sqrt()
    return density * raised_cosine_tensor(distance - LOOKED_AT, LOOKED_AT_EDGE)
