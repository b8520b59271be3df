"""Preparation of images: crop, normalise, mask, transform to Fourier space, measure the noise."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from napari_cryospin.engine.background import Background
from napari_cryospin.engine.bad_images import BadImagesError
from napari_cryospin.engine.defaults import MASK_EDGE, mask_radius, working_box
from napari_cryospin.engine.group_optics import GroupOptics, read_magnified
from napari_cryospin.engine.noise import sum_by_group_and_shell
from napari_cryospin.engine.raw_images import FLAT_BACKGROUND, MendedImages, RawImages
from napari_cryospin.engine.signal_groups import noise_groups
from napari_cryospin.engine.used_rows import evenly_spread
from napari_cryospin.particles import CTF_PARAMETERS, Particles
from napari_cryospin.physics import fourier
from napari_cryospin.physics.ctf import ctf
from napari_cryospin.physics.masks import raised_cosine_tensor
from napari_cryospin.settings import PreparationSettings

log = logging.getLogger(__name__)

DEFOCUS = ("defocus_u", "defocus_v")
"""Names of the two defocus values among the parameters of a CTF."""


def circular_mask(box_size: int, radius: float, edge: float) -> Tensor:
    """Make a soft circular mask `(n, n)`: 1 within `radius`, then a raised cosine to 0 over `edge`, both in pixels."""
    axis = torch.arange(box_size) - box_size // 2
    distance = (axis[:, None].square() + axis.square()).sqrt()
    return raised_cosine_tensor(distance - radius, edge)


class Interrupted(Exception):
    """Error that ends a long operation because its run has to end now."""


class PreparedImages:
    """The particles' images in Fourier space.

    Coefficients are divided by the box, so that background noise of unit variance a pixel has unit variance a
    coefficient. If all images fit into `settings.cache` they are prepared once; else, again whenever they are read.

    Parameters
    ----------
    particles : Particles
    settings : PreparationSettings
    rows : Tensor
        `(n,)` rows of `particles` to use.
    device : torch.device
        Device of the batches.
    hurry : Event, optional
        Once it is set, reading images raises `Interrupted` within `interruptions_allowed`. Every operation on many
        particles reads them in parts, and so ends soon.
    measure : bool
        False: read no images yet. The noise stays 1, and each image is prepared when it is read.

    Attributes
    ----------
    box_size, pixel_size, extent
        Working box (pixels), its pixel size (A), and its side (A).
    points : Tensor
        `(points, 2)` half-plane points.
    noise : Tensor
        `(groups, shells)` variance of a noise coefficient in each shell, of each noise group.
    noise_group : Tensor
        `(n,)` int64, group of each image (`engine.signal_groups`).
    replaced : dict
        Row of the particles -> number of hot and dead pixels that were replaced in its image, where there are any.
    """

    def __init__(
        self,
        particles: Particles,
        settings: PreparationSettings,
        rows: Tensor,
        device: torch.device | str = "cpu",
        *,
        measure: bool = True,
        hurry: threading.Event | None = None,
    ) -> None:
        self.hurry, self.interruptible = hurry, False
        self.particles, self.settings, self.rows, self.device = particles, settings, rows, torch.device(device)
        box, self.extent = particles.common_frame()
        self.mixed = len(np.unique(particles.box_sizes)) > 1 or len(np.unique(particles.pixel_sizes)) > 1
        self.box_size = working_box(settings, box)
        if self.box_size > box:
            raise ValueError(f"{particles.source}: box {self.box_size} px is larger than the particles' {box} px")
        self.pixel_size = self.extent / self.box_size
        self.points = fourier.half_plane(self.box_size)
        self.shell = fourier.shells(self.points)
        self.mask_radius = mask_radius(particles, settings) / self.pixel_size
        self.background = Background(self.box_size, self.mask_radius)
        self.raw = RawImages(particles, settings)
        self.replaced: dict[int, int] = {}
        self.mask = circular_mask(self.box_size, self.mask_radius, MASK_EDGE * self.box_size)
        self.ctf_parameters: Tensor | None = None
        if particles.ctf is not None:
            columns = [np.asarray(getattr(particles.ctf, name))[rows.numpy()] for name in CTF_PARAMETERS]
            self.ctf_parameters = torch.from_numpy(np.stack(columns, axis=-1)).float()
        self.optics: GroupOptics | None = None
        if particles.aberrations is not None:
            self.optics = GroupOptics(particles.aberrations.select(rows.numpy()), self.extent)
            self.mixed |= self.optics.inverse is not None  # Images of another magnification lose other corners.
        groups = noise_groups(particles)
        self.noise_group = torch.from_numpy(groups)[rows]
        self.noise = torch.ones(int(groups.max()) + 1, self.box_size // 2)
        self._cache: Tensor | None = None
        if measure:
            with self.interruptions_allowed():
                self._fill()

    def __len__(self) -> int:
        return len(self.rows)

    def _fill(self) -> None:
        """Measure the noise, and fill the cache if all images fit. Else, measure it on a sample of the images."""
        keeps = len(self) * len(self.points) * 8 <= self.settings.cache * 2**30
        count = len(self) if keeps else min(len(self), 5000)
        chosen = evenly_spread(len(self), count)
        power, weight = torch.zeros_like(self.noise), torch.zeros_like(self.noise)
        cache = torch.empty(len(self), len(self.points), dtype=torch.complex64) if keeps else None
        caught = self._caught()
        faults: dict[int, str] = {}
        for part in chosen.split(self.chunk):
            self.check()
            try:
                images, outside = self.normalised(part), self._background(part)
            except BadImagesError as error:  # All of them are looked for.
                faults |= error.faults
                continue
            group = self.noise_group[part]
            spectrum = fourier.to_half_plane(images * outside, self.points).abs().square()
            window = outside.square().sum((1, 2)).expand(len(part))
            for sums, values in ((power, spectrum), (weight, window[:, None] * caught)):
                sums += sum_by_group_and_shell(values, group, self.shell, sums)
            if cache is not None:
                cache[part] = fourier.to_half_plane(self._masked(images, part), self.points) / self.box_size
        if not keeps:
            rest = torch.ones(len(self), dtype=torch.bool).index_fill(0, chosen, False)
            faults |= self._faults_among(rest.nonzero()[:, 0])
        if faults:
            raise BadImagesError(self.particles, faults)
        # The spectrum of windowed noise over the window's power is the variance of the unmasked noise. The likelihood
        # needs that; the smaller variance of masked coefficients makes posteriors too sharp (docs/benchmarks.md, The
        # grid posterior).
        unseen = weight[:, -1] == 0  # no image of the group is in the sample: all images stand in for it
        power[unseen], weight[unseen] = power.sum(0), weight.sum(0)
        noise = power[:, 1:] / weight[:, 1:]
        if self.settings.noise == "white":
            noise = (power[:, 1:].sum(1) / weight[:, 1:].sum(1))[:, None].expand_as(noise)
        self.noise[:, 1:] = noise
        self.noise[:, 0] = noise[:, 0]
        self._cache = cache
        if not keeps:
            log.info("images are not kept in memory: prepared anew in every epoch")

    def _caught(self) -> Tensor:
        """Compute the share `(points,)` of the noise power that windowed coefficients keep after a Fourier crop.

        A window spreads noise over neighbouring frequencies. After the crop, no noise from beyond the box's
        frequencies is left to be spread.
        """
        if not self.mixed and self.particles.box_sizes[0] == self.box_size:
            return torch.ones(len(self.points))
        kx, ky = torch.cat((self.points, -self.points)).unbind(-1)
        band = torch.zeros(self.box_size, self.box_size)
        band[ky, kx] = 1
        spread = torch.fft.fft2(1 - self.mask).abs().square()
        share = torch.fft.ifft2(torch.fft.fft2(spread) * torch.fft.fft2(band)).real / spread.sum()
        return share[self.points[:, 1], self.points[:, 0]]

    @property
    def chunk(self) -> int:
        """Number of images to prepare at a time."""
        return self.raw.chunk

    def _cropped(self, raw: Tensor, box: int, pixel_size: float, inverse: Tensor | None = None) -> Tensor:
        """Crop raw images `(k, box, box)` to the working box and pixel size, and to the magnification of the map."""
        # If images differ in size, all must lose the corners of their spectrum, so that their noise is comparable.
        corners = self.mixed and box == self.box_size
        if abs(box * pixel_size - self.extent) < 1e-3 * pixel_size and not corners and inverse is None:
            return fourier.fourier_crop(raw, self.box_size)
        # With another field of view, the transform is evaluated at the working box's frequencies by two small products.
        mean = raw.mean((-2, -1), keepdim=True)
        position = (torch.arange(box) - box // 2) * pixel_size / self.extent
        inside = (position > -0.5 - 1e-6) & (position < 0.5 - 1e-6)  # Pixels beyond would wrap around.
        raw = (raw - mean) * (inside[:, None] & inside)
        frequency = torch.arange(-(self.box_size // 2) + 1, self.box_size // 2)
        if inverse is None:
            wave = torch.polar(torch.ones(()), -2 * torch.pi * frequency[:, None] * position)  # (k, x)
            spectrum = wave @ raw.to(wave.dtype) @ wave.T
        else:
            spectrum = read_magnified(raw, inverse, frequency, position)
        kx, ky = (self.points + self.box_size // 2 - 1).unbind(-1)
        scale = (pixel_size / self.pixel_size) ** 2
        return fourier.from_half_plane(spectrum[..., ky, kx] * scale, self.points, self.box_size) + mean

    def _background(self, rows: Tensor) -> Tensor:
        """Compute each pixel's weight as background: `(k, n, n)`, or `(1, n, n)` if it is the same for all images.

        Background is outside the mask and, if an image's field of view is smaller than the working box, inside the
        image.
        """
        seen = self._seen(rows)
        return (1 - self.mask)[None] if seen is None else (1 - self.mask) * seen

    def _seen(self, rows: Tensor) -> Tensor | None:
        """Return where images `(k, n, n)` show something; None: everywhere."""
        indices = self.rows[rows].numpy()
        sides = torch.from_numpy(self.particles.box_sizes[indices] * self.particles.pixel_sizes[indices])
        if bool((sides > self.extent - self.pixel_size).all()):
            return None
        distance = (torch.arange(self.box_size) - self.box_size // 2).abs() * self.pixel_size
        seen = distance < sides[:, None] / 2 - self.pixel_size  # (k, n), without the last pixel, which rings
        return seen[:, None] & seen[:, :, None]

    @contextlib.contextmanager
    def interruptions_allowed(self) -> Iterator[None]:
        """Allow `Interrupted` within this context, once a fast shutdown is requested."""
        before, self.interruptible = self.interruptible, True
        try:
            yield
        finally:
            self.interruptible = before

    def check(self) -> None:
        """Raise `Interrupted` if a fast shutdown is requested and the present operation may be interrupted."""
        if self.interruptible and self.hurry is not None and self.hurry.is_set():
            raise Interrupted

    def normalised(self, rows: Tensor) -> Tensor:
        """Read images `(k, n, n)` of the working box, with a background of zero mean and unit variance.

        Raises
        ------
        BadImagesError
            Images cannot be used; names all of them.
        """
        images = torch.empty(len(rows), self.box_size, self.box_size)
        faults: dict[int, str] = {}
        for mended in self.raw.read(self.rows[rows].numpy()):
            faults |= mended.faults
            self.replaced |= mended.replaced
            images[torch.from_numpy(mended.places)] = self._in_working_box(mended, rows)
        seen = self._seen(rows)
        found = self.background.fit(images.numpy(), None if seen is None else seen.numpy())
        for place in np.flatnonzero(found.deviation == 0):
            faults.setdefault(int(self.rows[rows[place]]), FLAT_BACKGROUND)
        if faults:
            raise BadImagesError(self.particles, faults)
        self.background.subtract(images.numpy(), found.plane)
        images /= torch.from_numpy(found.deviation)[:, None, None]
        return -images if self.settings.invert_contrast else images

    def pictures(self, rows: Tensor) -> Tensor:
        """Make the real images `(k, n, n)` of which the coefficients are the transform: masked, without aberrations."""
        return self._masked(self.normalised(rows), rows)

    def _masked(self, images: Tensor, rows: Tensor) -> Tensor:
        """Mask normalised images `(k, n, n)`, once their antisymmetric aberrations are corrected."""
        images = images if self.optics is None else self.optics.corrected(images, rows, self.points)
        return images * self.mask

    def _in_working_box(self, mended: MendedImages, rows: Tensor) -> Tensor:
        """Bring those of the images `rows` that have one box and pixel size to the working box."""
        if not self.mixed and mended.box_size == self.box_size:
            return torch.from_numpy(mended.images)
        # A ramp ends in a step at the box's edges, which would ring.
        background = self.raw.background(mended.box_size, mended.pixel_size)
        background.subtract(mended.images, background.fit(mended.images).plane)
        images = torch.from_numpy(mended.images)
        if self.optics is None or self.optics.inverse is None:
            return self._cropped(images, mended.box_size, mended.pixel_size)
        cropped = torch.empty(len(images), self.box_size, self.box_size)
        groups = self.optics.groups[rows[torch.from_numpy(mended.places)]]
        for group in groups.unique():
            members = groups == group
            inverse = self.optics.inverse[group]
            cropped[members] = self._cropped(images[members], mended.box_size, mended.pixel_size, inverse)
        return cropped

    def _faults_among(self, positions: Tensor) -> dict[int, str]:
        """Find images that cannot be used, by row, among those that are not kept in memory."""
        faults: dict[int, str] = {}
        for part in positions.split(self.chunk):
            self.check()
            for mended in self.raw.read(self.rows[part].numpy()):
                faults |= mended.faults
                self.replaced |= mended.replaced
        return faults

    def coefficients(self, rows: Tensor, count: int | None = None) -> Tensor:
        """Read the first `count` coefficients of some images, `(b, p)` complex, on the device.

        Parameters
        ----------
        rows : Tensor
            `(b,)` positions among the used particles, on the CPU.
        """
        self.check()
        count = len(self.points) if count is None else count
        if self._cache is not None:
            return self._cache[rows, :count].to(self.device)
        parts = [
            fourier.to_half_plane(self.pictures(part), self.points)[:, :count] / self.box_size
            for part in rows.split(self.chunk)
        ]
        return torch.cat(parts).to(self.device)

    def ctf(self, rows: Tensor, count: int | None = None) -> Tensor:
        """Compute the CTF factor of the forward model `(b, p)`; see `ctf_at`."""
        return self.ctf_at(rows, self.points[:count].to(self.device))

    def ctf_at(self, rows: Tensor, points: Tensor) -> Tensor:
        """Compute the CTF factor `(b, p)` at points `(p, 2)`, or at each image's own points `(b, p, 2)`.

        It is the CTF, its square for premultiplied images, or its absolute value for phase-flipped ones.
        """
        if self.ctf_parameters is None:
            return torch.ones(len(rows), points.shape[-2], device=self.device)
        aberration = None if self.optics is None else self.optics.phase_of_ctf(rows, points)
        values = ctf(self.ctf_parameters[rows].to(self.device), points, self.extent, aberration)
        if self.particles.ctf_premultiplied:
            return values.square()
        return values.abs() if self.particles.phase_flipped else values

    @contextlib.contextmanager
    def opposite_defocus(self) -> Iterator[None]:
        """Compute CTFs with the opposite sign of the defocus, within the context."""
        kept = self.ctf_parameters
        if kept is not None:
            self.ctf_parameters = kept.clone()
            self.ctf_parameters[:, [CTF_PARAMETERS.index(name) for name in DEFOCUS]] *= -1
        try:
            yield
        finally:
            self.ctf_parameters = kept

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Draw a random order of the images for one epoch, and return it in parts `(size,)`."""
        yield from torch.randperm(len(self), generator=generator).split(size)
