"""Simulation of images of a map: random poses and CTFs, projections, noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
import torch
from annotated_types import Interval, MultipleOf
from numpy.typing import NDArray
from pydantic import StrictBool, StrictFloat, StrictInt
from torch import Tensor

from napari_cryospin.geometry import so3_grid
from napari_cryospin.particles import CTF_PARAMETERS, CtfParameters
from napari_cryospin.physics import fourier
from napari_cryospin.physics.ctf import ctf
from napari_cryospin.physics.slicing import central_slices, shift_phases
from napari_cryospin.settings import Unit, settings_class


@settings_class
class SimulationSettings:
    """Settings of a simulation of particles from a map."""

    count: Annotated[StrictInt, Interval(ge=1, le=10**8)] = 5000
    """Number of images."""
    box: Annotated[StrictInt, Interval(ge=16, le=1024), MultipleOf(2), Unit("px")] | None = None
    """Box of the images, even: the map is Fourier-cropped to it. Default: the map's."""
    snr: Annotated[StrictFloat, Interval(ge=1e-6, le=1e6)] | None = 0.4
    """Variance of the CTF-filtered clean images over all pixels, by the noise variance (at the box). None: no noise."""
    noise: Literal["white", "coloured"] = "white"
    """Noise of equal power at all frequencies, or of four times more at the lowest than at the highest."""
    orientations: Literal["uniform", "preferred"] = "uniform"
    """View directions: uniform on the sphere, or about the map's z axis. See also the orientation table."""
    concentration: Annotated[StrictFloat, Interval(ge=0.01, le=1000)] = 2.0
    """Concentration of preferred view directions (von Mises-Fisher's kappa)."""
    orientation_table: Path | None = None
    """Orientations to draw from instead: particles with poses (.star, .cs), of a refinement say."""
    shift_sd: Annotated[StrictFloat, Interval(ge=0, le=1e4), Unit("A")] = 0.0
    """Standard deviation of the shifts along x and along y."""
    ctf: StrictBool = True
    """Filter the images by a CTF."""
    ctf_table: Path | None = None
    """CTFs to draw from: .npz with `ctf` (n, 9). Default: as the following say."""
    defocus_low: Annotated[StrictFloat, Interval(ge=-1e5, le=1e5), Unit("A")] = 8000.0
    """Smallest defocus."""
    defocus_high: Annotated[StrictFloat, Interval(ge=-1e5, le=1e5), Unit("A")] = 28000.0
    """Largest defocus."""
    voltage: Annotated[StrictFloat, Interval(ge=10, le=2000), Unit("kV")] = 300.0
    """Acceleration voltage."""
    spherical_aberration: Annotated[StrictFloat, Interval(ge=0, le=100), Unit("mm")] = 2.7
    """Spherical aberration."""
    amplitude_contrast: Annotated[StrictFloat, Interval(ge=0, le=1)] = 0.1
    """Amplitude contrast."""
    seed: Annotated[StrictInt, Interval(ge=0, le=2**31 - 1)] = 0
    """Seed of every random number."""

    @pydantic.model_validator(mode="after")
    def _defocus_in_order(self) -> SimulationSettings:
        if self.defocus_low > self.defocus_high:
            found = f"simulation.defocus_low is {self.defocus_low:g}"
            raise ValueError(f"{found}; expected at most defocus_high, {self.defocus_high:g} A")
        return self


def draw_rows(count: int, rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw `count` of the `rows` rows of a table, each at most once if there are enough; return them, `(count,)`."""
    return rng.choice(rows, count, replace=count > rows)


def draw_rotations(
    settings: SimulationSettings, rng: np.random.Generator, table: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Draw rotations from a table or from the distribution of the settings.

    Parameters
    ----------
    settings
        Settings of the simulation.
    rng
        Source of random numbers.
    table
        `(k, 3, 3)` rotations to draw from. None: view directions have the distribution of the settings.

    Returns
    -------
    ndarray
        `(n, 3, 3)` rotations A.
    """
    if table is not None:
        return table[draw_rows(settings.count, len(table), rng)].astype(np.float64)
    share, rot, psi = rng.random((3, settings.count))
    cos_tilt = 2 * share - 1
    if settings.orientations == "preferred":
        # This is the inverse of the cumulative distribution of cos(tilt) under von Mises-Fisher on the sphere.
        kappa = settings.concentration
        cos_tilt = 1 + np.log(share + (1 - share) * np.exp(-2 * kappa)) / kappa
    angles = (2 * np.pi * rot, np.arccos(cos_tilt.clip(-1, 1)), 2 * np.pi * psi)
    return so3_grid.rotation_from_angles(*map(torch.from_numpy, angles)).numpy()


def draw_ctf(
    settings: SimulationSettings, rng: np.random.Generator, table: NDArray[Any] | None
) -> CtfParameters | None:
    """Draw the CTFs of the particles from a table or from the range of defocus in the settings.

    Parameters
    ----------
    settings
        Settings of the simulation.
    rng
        Source of random numbers.
    table
        `(k, 7)` CTFs to draw from, with the columns of cryoDRGN from `dfU` on. None: the mean defocus is uniform in the
        range of the settings.

    Returns
    -------
    CtfParameters or None
        CTFs of `n` particles; None if the settings turn the CTF off.
    """
    if not settings.ctf:
        return None
    n = settings.count
    if table is not None:
        columns = table[draw_rows(n, len(table), rng)].T.astype(np.float64)
    else:
        middle, half = rng.uniform(settings.defocus_low, settings.defocus_high, n), rng.normal(0, 100, n)
        fixed = (settings.voltage, settings.spherical_aberration, settings.amplitude_contrast, 0.0)
        columns = np.stack(
            [middle + abs(half), middle - abs(half), rng.uniform(0, 180, n), *(np.full(n, v) for v in fixed)]
        )
    return CtfParameters(**dict(zip(CTF_PARAMETERS, [*columns, np.ones(n), np.zeros(n)], strict=True)))


class Projections:
    """A function that computes clean images of a map.

    Parameters
    ----------
    density : Tensor
        `(n, n, n)` map `[z, y, x]`, with positive protein and background 0.
    pixel_size : float
        Pixel size of the map and of the images, Angstrom.
    """

    def __init__(self, density: Tensor, pixel_size: float) -> None:
        self.box = density.shape[-1]
        self.extent = self.box * pixel_size
        # The relative error of a slice is 0.6 % with padding 3, and 1.3 % with padding 2 in a third of the memory.
        self.padding = 3 if self.box <= 96 else 2
        self.hartley = fourier.map_to_hartley(density.float(), self.padding)
        self.total = float(density.double().sum())
        self.points = fourier.half_plane(self.box)

    @torch.no_grad()
    def __call__(
        self, rotations: NDArray[Any], shifts: NDArray[Any], ctf_parameters: CtfParameters | None = None
    ) -> Tensor:
        """Compute the images at given poses.

        Parameters
        ----------
        rotations
            `(b, 3, 3)` rotations.
        shifts
            `(b, 2)` shifts in Angstrom, (x, y).
        ctf_parameters
            CTFs of the `b` images. None: the images are not filtered by a CTF.

        Returns
        -------
        Tensor
            `(b, n, n)` images.
        """
        coefficients = central_slices(self.hartley, torch.from_numpy(rotations).float(), self.points, self.padding)
        coefficients *= shift_phases(torch.from_numpy(shifts).float(), self.points, self.extent)
        # The half plane leaves out the origin, so the mean of the image is computed apart.
        mean = torch.full((len(rotations), 1), self.total / self.box**2)
        if ctf_parameters is not None:
            parameters = torch.from_numpy(np.stack([getattr(ctf_parameters, name) for name in CTF_PARAMETERS], axis=-1))
            coefficients *= ctf(parameters.float(), self.points, self.extent)
            mean *= ctf(parameters.float(), torch.zeros(1, 2), self.extent)
        return fourier.from_half_plane(coefficients, self.points, self.box) + mean[:, :, None]


def noise_images(count: int, box: int, variance: float, rng: np.random.Generator, *, coloured: bool) -> Tensor:
    """Draw images of Gaussian noise.

    Parameters
    ----------
    count, box
        Number of images, and their box in pixels.
    variance
        Variance of a pixel.
    rng
        Source of random numbers.
    coloured
        Whether the noise has more power at low frequencies; otherwise it is white.

    Returns
    -------
    Tensor
        `(count, box, box)` images, float32.
    """
    images = torch.from_numpy(rng.standard_normal((count, box, box), dtype=np.float32))
    if coloured:
        line, half = torch.fft.fftfreq(box)[:, None], torch.fft.fftfreq(box).abs()
        # The excess over white noise has fallen to one half at a quarter of Nyquist.
        power = 1 + 4 / (1 + (line**2 + half**2) * 64)
        filters = (power / power.mean()).sqrt()[:, : box // 2 + 1]
        images = torch.fft.irfft2(torch.fft.rfft2(images) * filters, s=(box, box))
    return images * variance**0.5
