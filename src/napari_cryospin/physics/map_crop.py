"""Fourier cropping and padding of a map."""

from __future__ import annotations

import torch
from torch import Tensor


def fourier_crop_map(density: Tensor, box_size: int) -> Tensor:
    """Fourier-crop an `(n, n, n)` map to a smaller even box; grey values and the place of the centre stay.

    The pixel size grows by `n / box_size`. Frequencies from the sphere of the new Nyquist frequency on are dropped.
    """
    n, half = density.shape[-1], box_size // 2
    if box_size == n:
        return density
    if box_size > n or box_size % 2 or density.shape != (n, n, n):
        raise ValueError(f"map: shape {tuple(density.shape)}, box {box_size}; expected a cube and a smaller even box")
    spectrum = torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(density)))
    inside = slice(n // 2 - half, n // 2 + half)
    kept = spectrum[inside, inside, inside]
    line = torch.arange(-half, half, device=density.device)
    radius = (line[:, None, None] ** 2 + line[:, None] ** 2 + line**2).sqrt()
    cropped = torch.fft.ifftn(torch.fft.ifftshift(kept * (radius < half))).real
    return torch.fft.fftshift(cropped) * (box_size / n) ** 3


def fourier_pad_map(density: Tensor, box_size: int) -> Tensor:
    """Fourier-pad an `(n, n, n)` map to a larger even box: the same field of view, finer pixels, no new information.

    Grey values and the place of the centre stay; the pixel size shrinks by `n / box_size`. The old Nyquist frequency,
    whose phase such a map cannot hold, is dropped.
    """
    n, half = density.shape[-1], density.shape[-1] // 2
    if box_size == n:
        return density
    if box_size < n or box_size % 2 or n % 2 or density.shape != (n, n, n):
        raise ValueError(f"map: shape {tuple(density.shape)}, box {box_size}; expected an even cube and a larger box")
    spectrum = torch.fft.rfftn(torch.fft.ifftshift(density))
    padded = spectrum.new_zeros(box_size, box_size, box_size // 2 + 1)
    ends = (slice(0, half), slice(-half + 1, None))
    for z in ends:
        for y in ends:
            padded[z, y, :half] = spectrum[z, y, :half]
    fine = torch.fft.irfftn(padded, s=(box_size, box_size, box_size))
    return torch.fft.fftshift(fine) * (box_size / n) ** 3
