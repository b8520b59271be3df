"""Central slices of a Hartley volume, at half-plane points inside the band only."""

from __future__ import annotations

import torch
from torch import Tensor


def crop_lattice(hartley: Tensor, band: int, padding: int) -> Tensor:
    """Crop a `(G, G, G)` lattice to the points that slices of this band use, so that it fits the CPU's cache."""
    half = min(padding * band + 1, hartley.shape[-1] // 2)
    middle = hartley.shape[-1] // 2
    inside = slice(middle - half, middle + half + 1)
    return hartley[inside, inside, inside]


def central_slices(hartley: Tensor, rotations: Tensor, points: Tensor, padding: int = 1) -> Tensor:
    """Compute Fourier coefficients of projections, by the Fourier slice theorem (paper, Eq. 2).

    The slice at an image point `k` lies at `(kx, ky, 0) @ A` in the map's frame. `H(w)` and `H(-w)` are computed by
    trilinear interpolation; `F = (H(-w) + H(w)) / 2 + i (H(-w) - H(w)) / 2` (paper, section 4.3).

    Parameters
    ----------
    hartley : Tensor
        `(G, G, G)` lattice, zero frequency in the middle; may be cropped (`crop_lattice`).
    rotations : Tensor
        `(..., 3, 3)` RELION's A.
    points : Tensor
        `(points, 2)` image frequencies in Fourier pixels.
    padding : int
        Lattice points to one Fourier pixel.

    Returns
    -------
    Tensor
        `(..., points)` complex. Differentiable in the lattice and in the rotations.
    """
    scale = padding / (hartley.shape[-1] // 2)  # lattice coordinates run from -1 to 1
    return read_lattice(hartley, (points.to(rotations.dtype) * scale) @ rotations[..., :2, :])


def read_hartley(hartley: Tensor, where: Tensor) -> Tensor:
    """Interpolate a Hartley lattice trilinearly.

    Parameters
    ----------
    hartley : Tensor
        `(G, G, G)` lattice, zero frequency in the middle.
    where : Tensor
        `(b, p, 3)` places `(x, y, z)` in b batches, which are computed in parallel; along each axis the lattice runs
        from -1 to 1, and is 0 beyond.

    Returns
    -------
    Tensor
        `(b, p)` real. Differentiable in the lattice and in the places.
    """
    volume = hartley.to(where.dtype).expand(len(where), 1, -1, -1, -1)
    return torch.nn.functional.grid_sample(volume, where[:, None, None], align_corners=True).flatten(1)


def read_lattice(hartley: Tensor, where: Tensor) -> Tensor:
    """Interpolate a map's Fourier transform between the points of its Hartley lattice, trilinearly.

    Parameters
    ----------
    hartley : Tensor
        `(G, G, G)` lattice, zero frequency in the middle.
    where : Tensor
        `(..., 3)` places `(x, y, z)`; along each axis the lattice runs from -1 to 1, and is 0 beyond.

    Returns
    -------
    Tensor
        `(...)` complex. Differentiable in the lattice and in the places.
    """
    count = where.shape[:-1].numel()
    # The two batches are w and -w. Batches run in parallel, so there are more where no gradient is computed, which
    # would need a lattice for each.
    parts = 1 if torch.is_grad_enabled() else max(1, torch.get_num_threads() // 2)
    places = torch.nn.functional.pad(where.reshape(-1, 3), (0, 0, 0, -count % parts)).reshape(parts, -1, 3)
    values = read_hartley(hartley, torch.cat((places, -places)))
    at, mate = values.reshape(2, -1)[:, :count].reshape(2, *where.shape[:-1])
    return torch.complex(mate + at, mate - at) / 2


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
    """Insert images and their weights into a Hartley lattice: the adjoint of `central_slices`.

    Parameters
    ----------
    rotations : Tensor
        `(b, 3, 3)`.
    points : Tensor
        `(p, 2)`.
    values : Tensor
        `(b, p)` complex.
    weights : Tensor
        `(b, p)` real.
    size : int
        Points of the lattice along an axis, odd.
    padding : int
        Lattice points to one Fourier pixel.

    Returns
    -------
    Tensor
        `(2, size, size, size)`: Hartley values, `Re - Im` at each point and `Re + Im` opposite to it, and weights.
    """
    where = (points.to(rotations.dtype) * (padding / (size // 2))) @ rotations[:, :2]
    where = where.reshape(1, 1, 1, -1, 3)
    at, mate = hartley_pair(values)
    sources = torch.stack((torch.stack((at, weights)), torch.stack((mate, weights)))).reshape(2, 2, 1, 1, -1)
    lattice = weights.new_zeros(()).expand(2, 2, size, size, size)
    spread, _ = torch.ops.aten.grid_sampler_3d_backward(
        sources, lattice, torch.cat((where, -where)), 0, 0, True, [True, False]
    )
    return spread[0].add_(spread[1])
