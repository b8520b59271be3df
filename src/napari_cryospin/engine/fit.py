"""What a reconstruction fits: one set of particles, their volume, their poses and, before the switch, an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.images import MASK_EDGE, PreparedImages
from napari_cryospin.engine.losses import candidate_errors
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.models.encoder import Encoder
from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.models.pose_table import PoseTable
from napari_cryospin.models.projector import Projector
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics import fourier
from napari_cryospin.settings import Settings

MAX_SHIFT = 0.16
"""Default range of the shift search, as a fraction of the box."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some particles' images, as far as the band goes, on the device."""

    rows: Tensor  # (b,) positions in the fit, on the CPU
    images: Tensor  # (b, p) complex
    ctf: Tensor  # (b, p)
    points: Tensor  # (p, 2)
    weights: Tensor  # (p,) inverse noise variance

    def part(self, chosen: slice | Tensor) -> Batch:
        """Take some of the images: a slice, or `(k,)` positions on the CPU."""
        where = chosen if isinstance(chosen, slice) else chosen.to(self.images.device)
        return Batch(
            rows=self.rows[chosen],
            images=self.images[where],
            ctf=self.ctf[where],
            points=self.points,
            weights=self.weights,
        )

    def inner(self, count: int) -> Batch:
        """The same images, as far as the first `count` points."""
        return Batch(
            rows=self.rows,
            images=self.images[:, :count],
            ctf=self.ctf[:, :count],
            points=self.points[:count],
            weights=self.weights[:count],
        )


class Fit:
    """One set of particles and all that is learned about them.

    With half sets there are two of these, which share nothing.

    Attributes
    ----------
    band, encoding_band, full_band : int
        Fourier shells that are looked at now, at most before the switch, and at most at all.
    noise : Tensor
        `(shells,)` noise variance of a coefficient: that of the background or, where `residual` is larger, what the
        volume does not explain yet, which keeps a poor volume from being believed.
    poses : PoseTable
        Best pose known of each particle.
    winner : Tensor
        `(n,)` which candidate that was: a head's number, the number of heads for the posterior sample, -1 for none.
    best_head : Tensor
        `(n,)` which head was the best among the heads; -1: none yet.
    error : Tensor
        `(n,)` error of that pose when it was last looked at, over that of the background's noise (1: nothing but noise
        is left); nan before.
    candidates, candidate_shifts : Tensor
        `(n, heads, 3, 3)`, `(n, heads, 2)` last proposals of the heads.
    entropy : Tensor
        `(n,)` nats, of the grid posterior when it was last computed, nan before.
    near_symmetries : Tensor
        `(m, 3, 3)` rotations under which the map looked nearly the same at the end of the last epoch; none before the
        band is as far as it goes before the switch.
    """

    def __init__(self, images: PreparedImages, settings: Settings, generator: torch.Generator) -> None:
        self.images, self.settings, self.generator = images, settings, generator
        self.device = images.device
        self.full_band = images.box_size // 2 - 1
        self.encoding_band = min(settings.volume.encoding_band or self.full_band, self.full_band)
        self.band = min(settings.volume.first_band or self.encoding_band, self.encoding_band)
        padding = settings.volume.padding
        self.projector = Projector(points=images.points, extent=images.extent, padding=padding).to(self.device)
        self.shell = images.shell.to(self.device)
        self.background = images.noise.to(self.device)
        self.residual = torch.zeros_like(self.background)
        shifts = settings.encoder.shifts
        default = MAX_SHIFT * images.extent
        given = settings.encoder.max_shift
        self.max_shift = (default if given is None else given) if shifts else 0.0
        self.volume: HartleyVolume | WienerVolume
        if settings.volume.volume_update == "wiener":
            self.volume = WienerVolume(
                images.box_size,
                padding,
                first_band=self.band,
                mask_radius=min(0.5, images.mask_radius / images.box_size + MASK_EDGE / 2),
                generator=generator,
                device=self.device,
            )
        else:
            self.volume = HartleyVolume(images.box_size, padding, first_band=self.band, generator=generator)
            self.volume.to(self.device)
        heads = settings.encoder.heads if settings.method != "search" else 0
        self.encoder_box = min(settings.encoder.encoder_box, images.box_size)
        self.encoder_points = fourier.half_plane(self.encoder_box).to(self.device)
        self.encoder: Encoder | None = None
        if heads:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
                self.encoder = Encoder(self.encoder_box, heads, settings.encoder.trunk, self.max_shift)
            self.encoder.to(self.device)
        n = len(images)
        start = random_rotations(n, generator).to(self.device)
        self.poses = PoseTable(start, torch.zeros(n, 2, device=self.device))
        self.winner = torch.full((n,), -1, dtype=torch.int16)
        self.best_head = torch.full((n,), -1, dtype=torch.int16)
        self.error = torch.full((n,), torch.nan)
        self.entropy = torch.full((n,), torch.nan)
        self.candidates = torch.eye(3).repeat(n, heads, 1, 1)
        self.candidate_shifts = torch.zeros(n, heads, 2)
        self.agreed: list[float] = []  # share of particles that the heads agree on, epoch by epoch
        self.near_symmetries = torch.zeros(0, 3, 3, device=self.device)
        self.folds = (torch.randperm(n, generator=generator) % 2).to(self.device)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def noise(self) -> Tensor:
        return torch.maximum(self.background, self.residual)

    def batch(self, rows: Tensor, band: int | None = None) -> Batch:
        """Images, CTFs and weights of some particles in the present band, or another."""
        count = fourier.band_size(self.images.points, self.band if band is None else band)
        return Batch(
            rows=rows,
            images=self.images.coefficients(rows, count),
            ctf=self.images.ctf(rows, count),
            points=self.projector.points[:count],
            weights=1 / self.noise[self.shell[:count]],
        )

    def encoder_images(self, rows: Tensor) -> Tensor:
        """`(b, m, m)` what the encoder sees, of unit variance each."""
        count = len(self.encoder_points)
        coefficients = self.images.coefficients(rows, count)
        if self.settings.encoder.encoder_input == "phase-flipped":
            coefficients = coefficients * self.images.ctf(rows, count).sign()
        images = fourier.from_half_plane(coefficients, self.encoder_points, self.encoder_box)
        return images / images.std((-2, -1), keepdim=True)

    def project(self, batch: Batch, rotations: Tensor, shifts: Tensor | None) -> Tensor:
        """`(b, ..., p)` noise-free images of the present volume at `(b, ..., 3, 3)` rotations."""
        outermost = self.images.points[len(batch.points) - 1]  # read on the CPU, so that no device is waited for
        band = int(outermost.square().sum().double().sqrt().ceil())
        extra = rotations.dim() - 3
        ctf = batch.ctf.reshape(len(batch.ctf), *(1,) * extra, -1)
        return self.projector(self.volume.hartley(band), rotations, shifts if self.max_shift else None, ctf)

    def noise_error(self, points: int) -> float:
        """Error of an image of which only noise is left, summed over the points: what losses are told in units of.

        The mask takes its share of the noise; an absolute error is a mean already.
        """
        return points * float(self.images.mask.square().mean()) if self.settings.volume.loss == "squared" else 1.0

    def note_candidates(self, rows: Tensor, rotations: Tensor, shifts: Tensor) -> None:
        """Write down what the heads propose for the particles `rows`: `(b, heads, 3, 3)` and `(b, heads, 2)`."""
        proposed = torch.cat((rotations.detach().flatten(-2), shifts.detach()), dim=-1).cpu()  # one wait for the device
        self.candidates[rows] = proposed[..., :9].unflatten(-1, (3, 3))
        self.candidate_shifts[rows] = proposed[..., 9:]

    def note_error(self, batch: Batch, model: Tensor) -> None:
        """Write down how far the images are from their `(b, p)` models, in units of the background's noise alone: what
        the volume does not explain raises `noise`, which must not hide it here."""
        weights = 1 / self.background[self.shell[: len(batch.points)]]
        errors = candidate_errors(model[:, None], batch.images, weights, self.settings.volume.loss)[:, 0]
        self.error[batch.rows] = (errors / self.noise_error(len(batch.points))).to(self.error)

    def observe_residual(self, batch: Batch, model: Tensor, rate: float = 0.3) -> None:
        """Update what the volume leaves unexplained, shell by shell, from images and their best models."""
        power = (batch.images - model).abs().square().mean(0)
        shell = self.shell[: len(power)]
        sums = torch.zeros_like(self.residual).index_add_(0, shell, power)
        counts = torch.zeros_like(self.residual).index_add_(0, shell, torch.ones_like(power))
        mean = sums / counts.clamp(min=1)
        fresh = (self.residual == 0) & (counts > 0)
        blended = torch.where(counts > 0, self.residual.lerp(mean, rate), self.residual)
        self.residual = torch.where(fresh, mean, blended)

    def state_dict(self) -> dict[str, Any]:
        tensors = "residual winner best_head error entropy candidates candidate_shifts near_symmetries"
        return {
            "band": self.band,
            "agreed": self.agreed,
            "volume": self.volume.state_dict(),
            "poses": self.poses.state_dict(),
            "encoder": self.encoder.state_dict() if self.encoder is not None else None,
            "folds": self.folds,
            "tensors": {name: getattr(self, name) for name in tensors.split()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.band, self.agreed = state["band"], list(state["agreed"])
        self.volume.load_state_dict(state["volume"])
        self.poses.load_state_dict(state["poses"])
        if state["encoder"] is None:
            self.encoder = None
        elif self.encoder is not None:
            self.encoder.load_state_dict(state["encoder"])
        self.folds = state["folds"].to(self.device)
        for name, value in state["tensors"].items():
            setattr(self, name, value.to(getattr(self, name).device, copy=True))
