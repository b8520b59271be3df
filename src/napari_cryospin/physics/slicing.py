"""Central slices of a Hartley volume, at half-plane points inside the band only."""

from __future__ import annotations

import torch
from torch import Tensor


def crop_lattice(hartley: Tensor, band: int, padding: int) -> Tensor:
    """Crop `(..., G, G, G)` lattices to the points that slices of this band use, so that they fit the CPU's cache."""
    half = min(padding * band + 1, hartley.shape[-1] // 2)
    middle = hartley.shape[-1] // 2
    inside = slice(middle - half, middle + half + 1)
    return hartley[..., inside, inside, inside]


def central_slices(hartley: Tensor, rotations: Tensor, points: Tensor, padding: int = 1) -> Tensor:
    """Compute Fourier coefficients of projections, by the Fourier slice theorem (paper, Eq. 2).

    The slice at an image point `k` lies at `(kx, ky, 0) @ A` in the map's frame. `H(w)` and `H(-w)` are computed by
    trilinear interpolation; `F = (H(-w) + H(w)) / 2 + i (H(-w) - H(w)) / 2` (paper, section 4.3).

    Parameters
    ----------
    hartley : Tensor
        `(G, G, G)` lattice, zero frequency in the middle, or `(c, G, G, G)` several; may be cropped (`crop_lattice`).
    rotations : Tensor
        `(..., 3, 3)` RELION's A.
    points : Tensor
        `(points, 2)` image frequencies in Fourier pixels.
    padding : int
        Lattice points to one Fourier pixel.

    Returns
    -------
    Tensor
        `(..., points)` complex, or `(c, ..., points)`. Differentiable in the lattice and in the rotations.
    """
    scale = padding / (hartley.shape[-1] // 2)  # lattice coordinates run from -1 to 1
    return read_lattice(hartley, (points.to(rotations.dtype) * scale) @ rotations[..., :2, :])


def read_hartley(hartley: Tensor, where: Tensor) -> Tensor:
    """Interpolate Hartley lattices trilinearly.

    Parameters
    ----------
    hartley : Tensor
        `(c, G, G, G)` lattices, zero frequency in the middle. Several are read fastest where the numbers of a point lie
        side by side in memory.
    where : Tensor
        `(b, p, 3)` places `(x, y, z)` in b batches, which are computed in parallel; along each axis the lattice runs
        from -1 to 1, and is 0 beyond.

    Returns
    -------
    Tensor
        `(b, c, p)` real. Differentiable in the lattices and in the places.
    """
    volume = hartley.to(where.dtype).expand(len(where), -1, -1, -1, -1)
    return torch.nn.functional.grid_sample(volume, where[:, None, None], align_corners=True).flatten(2)


def read_lattice(hartley: Tensor, where: Tensor) -> Tensor:
    """Interpolate a map's Fourier transform between the points of its Hartley lattice, trilinearly.

    Parameters
    ----------
    hartley : Tensor
        `(G, G, G)` lattice, zero frequency in the middle, or `(c, G, G, G)` several.
    where : Tensor
        `(..., 3)` places `(x, y, z)`; along each axis the lattice runs from -1 to 1, and is 0 beyond.

    Returns
    -------
    Tensor
        `(...)` complex, or `(c, ...)`. Differentiable in the lattice and in the places.
    """
    shape = (*hartley.shape[:-3], *where.shape[:-1])
    lattices = hartley[None] if hartley.dim() == 3 else hartley
    count = where.shape[:-1].numel()
    # The two batches are w and -w. Batches run in parallel, so there are more where no gradient is computed, which
    # would need a lattice for each.
    parts = 1 if torch.is_grad_enabled() else max(1, torch.get_num_threads() // 2)
    places = torch.nn.functional.pad(where.reshape(-1, 3), (0, 0, 0, -count % parts)).reshape(parts, -1, 3)
    values = read_hartley(lattices, torch.cat((places, -places))).unflatten(0, (2, parts))
    at, mate = values.transpose(1, 2).flatten(2)[..., :count].unbind()
    return torch.complex(mate + at, mate - at).reshape(shape) / 2


def hartley_pair(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Hartley values at frequencies and opposite to them, `Re F - Im F` and `Re F + Im F`."""
    return values.real - values.imag, values.real + values.imag


def shift_phases(shifts: Tensor, points: Tensor, extent: float) -> Tensor:
    """Compute the phase ramps that move a centred projection to the particle's place in the image.

    A shift in RELION's sign centres the image, so the particle stands at `centre - shift`.

    Parameters
    ----------
    shifts : Tensor
        `(..., 2)` shifts in Angstrom, `(x, y)`.
    points : Tensor
        `(points, 2)` image frequencies in Fourier pixels.
    extent : float
        Side of the image in Angstrom (box times pixel size).

    Returns
    -------
    Tensor
        `(..., points)` complex, `exp(+2 pi i k . shift / extent)`.
    """
    angle = (shifts * (2 * torch.pi / extent)) @ points.to(shifts.dtype).T
    return torch.polar(torch.ones_like(angle), angle)


@torch.no_grad()
def insert_slices(
    rotations: Tensor, points: Tensor, values: Tensor, weights: Tensor, *, size: int, padding: int
) -> Tensor:
    """Insert images and their weights into Hartley lattices: the adjoint of `central_slices`.

    Parameters
    ----------
    rotations : Tensor
        `(f, b, 3, 3)`: the images of `f` lattices, which are made in parallel.
    points : Tensor
        `(p, 2)`.
    values : Tensor
        `(f, b, p)` complex.
    weights : Tensor
        `(f, b, p)` real.
    size : int
        Points of a lattice along an axis, odd.
    padding : int
        Lattice points to one Fourier pixel.

    Returns
    -------
    Tensor
        `(f, 2, size, size, size)`: Hartley values, `Re - Im` at each point and `Re + Im` opposite to it, and weights.
    """
    where = ((points.to(rotations.dtype) * (padding / (size // 2))) @ rotations[..., :2, :]).flatten(1, 2)
    at, mate = (each.flatten(1) for each in hartley_pair(values))
    sources = torch.stack((torch.cat((at, mate), 1), weights.flatten(1).repeat(1, 2)), 1)[:, :, None, None]
    lattice = weights.new_zeros(()).expand(len(rotations), 2, size, size, size)
    places = torch.cat((where, -where), 1)[:, None, None]
    spread, _ = torch.ops.aten.grid_sampler_3d_backward(sources, lattice, places, 0, 0, True, [True, False])
    return spread
