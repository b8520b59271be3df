"""Images and volumes in Fourier space.

A real image is stored as its transform's independent half: the points `(kx, ky)` with `kx > 0`, or `kx = 0` and
`ky > 0`, in order of their radius, so that a narrower band is a prefix. The zero frequency is left out: images are
normalised to a background of zero mean, which does not determine it. Transforms are unnormalised sums about `n // 2`:
`F(k) = sum_x I(x) exp(-2 pi i k . (x - n/2) / n)`.

A volume is stored as its Hartley transform `H = Re F - Im F` (paper, Eq. 7) on a cubic lattice of an odd number `G` of
points along each axis, zero frequency in the middle, so that `H(-w)` is the lattice flipped.
"""

from __future__ import annotations

import torch
from torch import Tensor


def half_plane(box_size: int, band: int | None = None) -> Tensor:
    """List the independent Fourier points of a real image, innermost first.

    Parameters
    ----------
    box_size : int
        Box of the image, pixels, even.
    band : int, optional
        Largest radius, in Fourier pixels (shells); default `box_size // 2 - 1`.

    Returns
    -------
    Tensor
        `(points, 2)` int64, `(kx, ky)`, by radius rounded up, so that every whole band is a prefix.
    """
    largest = box_size // 2 - 1
    band = largest if band is None else min(band, largest)
    ky, kx = torch.meshgrid(torch.arange(-band, band + 1), torch.arange(0, band + 1), indexing="ij")
    square = kx**2 + ky**2
    kept = (square <= band**2) & ((kx > 0) | (ky > 0))
    points = torch.stack((kx[kept], ky[kept]), dim=-1)
    # The order is ring by ring, and around each ring, because then neighbours in memory read neighbours in the volume.
    ring, angle = square[kept].double().sqrt().ceil(), torch.atan2(points[:, 1].double(), points[:, 0].double())
    return points[torch.argsort(4 * ring + angle)]


def shells(points: Tensor) -> Tensor:
    """Compute the shell of each point, `(points,)` int64: its radius, rounded."""
    return points.double().norm(dim=-1).round().long()


def band_size(points: Tensor, band: int) -> int:
    """Count the leading points with radius at most `band`."""
    return int((points.square().sum(-1) <= band * band).sum())


def _parity(points: Tensor) -> Tensor:
    """Compute the phase exp(+i pi (kx + ky)) = +-1 that moves the origin from the box's corner to its centre."""
    return 1.0 - 2.0 * (points.sum(-1) % 2)


def to_half_plane(images: Tensor, points: Tensor) -> Tensor:
    """Transform `(..., n, n)` real images to the half-plane points: `(..., points)` complex."""
    kx, ky = points.unbind(-1)
    spectrum = torch.fft.rfft2(images)
    return spectrum[..., ky % images.shape[-1], kx] * _parity(points).to(images.dtype)


def from_half_plane(coefficients: Tensor, points: Tensor, box_size: int, source_box: int | None = None) -> Tensor:
    """Compute real images from their half-plane coefficients; those at all other points are zero.

    Parameters
    ----------
    coefficients : Tensor
        `(..., points)` complex.
    points : Tensor
        `(points, 2)`, inside the band of `box_size`.
    box_size : int
        Box of the images to make, pixels.
    source_box : int, optional
        Box at which the coefficients were computed, if it is another one: grey values keep their scale.

    Returns
    -------
    Tensor
        `(..., box_size, box_size)` real.
    """
    n = box_size
    scale = (n / source_box) ** 2 if source_box else 1.0
    values = coefficients * (_parity(points) * scale).to(coefficients.real.dtype)
    kx, ky = points.unbind(-1)
    spectrum = values.new_zeros(*values.shape[:-1], n, n // 2 + 1)
    spectrum[..., ky % n, kx] = values
    axis = (kx == 0).nonzero()[:, 0]  # The transform stores this column whole: the opposite points are filled in too.
    spectrum[..., (-ky[axis]) % n, 0] = values[..., axis].conj()
    return torch.fft.irfft2(spectrum, s=(n, n))


def fourier_crop(images: Tensor, box_size: int) -> Tensor:
    """Fourier-crop `(..., n, n)` images to a smaller even box; grey values keep their scale.

    The new Nyquist frequency itself, which a real image cannot represent unambiguously, is dropped.
    """
    n = images.shape[-1]
    if box_size == n:
        return images
    points = half_plane(box_size).to(images.device)
    mean = images.mean((-2, -1), keepdim=True)
    return from_half_plane(to_half_plane(images, points), points, box_size, source_box=n) + mean


def grid_envelope(n: int, padding: int, device: torch.device | str = "cpu") -> Tensor:
    """Compute the `(n, n, n)` real-space image of trilinear interpolation on the lattice: a product of sinc^2.

    A volume that is read by trilinear interpolation is, in real space, multiplied by this.
    """
    position = (torch.arange(n, device=device) - n // 2) / (n * padding)
    line = torch.sinc(position).square()
    return line[:, None, None] * line[:, None] * line


def map_to_hartley(density: Tensor, padding: int = 1) -> Tensor:
    """Compute the Hartley lattice whose trilinear slices are the projections of a map.

    Parameters
    ----------
    density : Tensor
        `(n, n, n)` map `[z, y, x]`; should fall to zero towards the edges of the box.
    padding : int
        Oversampling of the lattice.

    Returns
    -------
    Tensor
        `(G, G, G)` with `G = padding * n + 1`.
    """
    n = density.shape[-1]
    size, half = padding * n, padding * n // 2
    at, sign = _around_origin(n, size, density)
    padded = density.new_zeros(size, size, size)
    padded[at] = density * sign / grid_envelope(n, padding, density.device).to(density.dtype)
    spectrum = torch.fft.rfftn(padded)
    del padded
    hartley = density.new_empty(size + 1, size + 1, size + 1)
    hartley[:size, :size, half:] = spectrum.real - spectrum.imag
    hartley[size, :size, half:] = hartley[0, :size, half:]
    hartley[:, size, half:] = hartley[:, 0, half:]
    # The other half, kx < 0, has the opposite frequencies: H(-k) = Re F(k) + Im F(k).
    hartley[1:, 1:, :half] = (spectrum.real + spectrum.imag)[..., 1:].flip(0, 1, 2)
    hartley[0, 1:, :half] = hartley[size, 1:, :half]
    hartley[:, 0, :half] = hartley[:, size, :half]
    return hartley


def hartley_to_map(hartley: Tensor, box_size: int) -> Tensor:
    """Compute the map `(n, n, n)` whose projections are the trilinear slices of a `(G, G, G)` Hartley lattice.

    The Hartley transform is its own inverse: the Hartley transform of `H` is the map.
    """
    size = hartley.shape[-1] - 1
    padding, n, half = size // box_size, box_size, size // 2
    at, sign = _around_origin(n, size, hartley)
    here, mate = hartley[:size, :size, half:], hartley[1:, 1:, : half + 1].flip(0, 1, 2)
    spectrum = torch.complex(here + mate, mate - here)
    density = torch.fft.irfftn(spectrum, s=(size,) * 3)[at] * (sign / 2)
    return density * grid_envelope(n, padding, hartley.device).to(hartley.dtype)


def _around_origin(n: int, size: int, like: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Compute indices of an `(n, n, n)` map's voxels about the first element of a periodic `(size, size, size)` array.

    The second result, `(n, n, 1)` signs (-1)^(z + y), makes the spectrum's ky and kz run upwards from -size / 2.
    """
    position = torch.arange(n, device=like.device) - n // 2
    at = position % size
    sign = (1 - 2 * (position % 2)).to(like.dtype)
    return (at[:, None, None], at[:, None], at), sign[:, None, None] * sign[:, None]
