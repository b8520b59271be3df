"""The grid posterior of poses: exact log-likelihoods on a grid, as matrix products.

With `I` an image's transform, `C` its CTF, `S` a slice and `N` the noise variance of a coefficient, and each point of
the half plane standing for itself and its mate,

    log p(I | pose) = sum over the half plane of (2 Re(C I conj S) - C^2 |S|^2) / N  + const      (from Eq. 3)

which, for a batch of images and a grid of poses, is two matrix products. Shifts multiply the images by phase ramps.
The same functions serve the search, the switch, the teaching of the encoder and the views of a posterior.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cryospin.physics.slicing import central_slices, crop_lattice


@dataclass(frozen=True, kw_only=True)
class Templates:
    """Slices of a volume at the poses of a grid, ready for the products.

    Attributes
    ----------
    rotations : Tensor
        `(k, 3, 3)` rotations of the grid.
    points : Tensor
        `(p, 2)` half-plane points: the band that is compared.
    slices : Tensor
        `(k, 2 p)` slices: real parts, then imaginary parts.
    power : Tensor
        `(k, p)` squared absolute values of the slices.
    """

    rotations: Tensor
    points: Tensor
    slices: Tensor
    power: Tensor


@torch.no_grad()
def make_templates(
    hartley: Tensor, rotations: Tensor, points: Tensor, padding: int, *, band: int | None = None, chunk: int = 2**22
) -> Templates:
    """Slice a volume at every pose of a grid.

    Parameters
    ----------
    hartley : Tensor
        `(G, G, G)` lattice.
    rotations : Tensor
        `(..., 3, 3)` rotations; leading dimensions are flattened.
    points : Tensor
        `(p, 2)` half-plane points, innermost first.
    padding : int
        Oversampling of the lattice.
    band : int, optional
        Shells that the points reach. Default: computed from the points, for which the host waits for the device.
    chunk : int
        Number of points that are read from the lattice at a time.
    """
    rotations = rotations.reshape(-1, 3, 3)
    if band is None:
        band = int(points.square().sum(-1).max().sqrt().ceil())
    lattice = crop_lattice(hartley, band, padding).contiguous()
    count = len(points)
    slices = torch.empty(len(rotations), 2 * count, device=hartley.device, dtype=hartley.dtype)
    power = torch.empty(len(rotations), count, device=hartley.device, dtype=hartley.dtype)
    rows = max(1, chunk // count)
    for start in range(0, len(rotations), rows):
        part = central_slices(lattice, rotations[start : start + rows].to(hartley.dtype), points, padding)
        slices[start : start + rows, :count] = part.real
        slices[start : start + rows, count:] = part.imag
        power[start : start + rows] = part.real.square() + part.imag.square()
    return Templates(rotations=rotations, points=points, slices=slices, power=power)


@torch.no_grad()
def log_likelihoods(
    templates: Templates, images: Tensor, ctf: Tensor, weights: Tensor, phases: Tensor | None = None
) -> Tensor:
    """Compute the log-likelihood of each image at each pose of the grid, up to a constant of the image.

    Parameters
    ----------
    templates : Templates
        Slices at `k` poses, with `p` points each.
    images, ctf : Tensor
        `(b, p)` each, complex and real.
    weights : Tensor
        `(p,)`, or `(b, p)`: inverse noise variance of a coefficient.
    phases : Tensor, optional
        Phase ramps of the shifts to try, `(t, p)`, or `(b, t, p)` if the shifts differ between images.

    Returns
    -------
    Tensor
        `(b, t, k)` nats; `t` is 1 if no phases are given.
    """
    weighted = images * (2 * weights * ctf)
    moved = weighted[:, None] if phases is None else weighted[:, None] * phases.conj()
    features = torch.cat((moved.real, moved.imag), dim=-1)
    values = (features.flatten(0, 1) @ templates.slices.T).unflatten(0, features.shape[:2])
    return values.sub_(((ctf.square() * weights) @ templates.power.T)[:, None])


def shift_step(extent: float, band: int) -> float:
    """Return the spacing of the shifts to try for a band in a box of so many Angstrom, Angstrom."""
    return extent / (4 * band)


def shift_grid(radius: float, step: float, device: torch.device | str = "cpu") -> Tensor:
    """Return the shifts of a square grid inside a circle, `(t, 2)` by ascending length; all lengths in Angstrom."""
    count = int(radius / step + 1e-6)
    axis = torch.arange(-count, count + 1) * step
    shifts = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 2)
    distance = shifts.norm(dim=-1)
    kept = distance <= radius * (1 + 1e-6)
    return shifts[kept][distance[kept].argsort(stable=True)].to(device)


def sample(log_probability: Tensor, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
    """Draw an index from each row of `(b, k)` unnormalised log-probabilities by Gumbel's trick, `(b,)`."""
    uniform = torch.rand(log_probability.shape, generator=generator, device=generator.device)
    gumbel = -(-uniform.clamp(min=1e-20).log()).log().to(log_probability.device)
    return (log_probability / temperature + gumbel).argmax(-1)


def entropy(log_probability: Tensor) -> Tensor:
    """Compute the entropy, `(b,)` nats, of `(b, k)` unnormalised log-probabilities over the cells of a grid."""
    normal = log_probability.log_softmax(-1)
    return -(normal.exp() * normal).sum(-1)
