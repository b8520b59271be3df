"""A fit: one set of particles, their volume, their poses and, before the switch, an encoder."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from napari_cryospin.engine.bands import Band
from napari_cryospin.engine.batch import Batch
from napari_cryospin.engine.belonging import belonging, hypothesis_odds
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.engine.losses import image_errors
from napari_cryospin.engine.near_symmetry import NearSymmetries
from napari_cryospin.engine.noise import Noise
from napari_cryospin.engine.particle_state import ParticleState
from napari_cryospin.engine.shift_range import ShiftRange
from napari_cryospin.engine.signal_groups import scale_levels
from napari_cryospin.engine.signal_scales import estimate_scales, first_scales
from napari_cryospin.engine.used_rows import draw_folds
from napari_cryospin.engine.volumes import VOLUMES
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.geometry.symmetry import PointGroup
from napari_cryospin.models.encoder import Encoder
from napari_cryospin.models.projector import Projector
from napari_cryospin.models.volume import Volume
from napari_cryospin.physics import fourier
from napari_cryospin.settings import Settings, VolumeSettings

AnyVolume = TypeVar("AnyVolume", bound=Volume, covariant=True)


class Fit(Generic[AnyVolume]):
    """One set of particles with everything that is learned about them.

    With half sets there are two, which share no data. A `Fit[WienerVolume]` is a fit whose volume is known to be of
    that class.

    Parameters
    ----------
    images : PreparedImages
    settings : Settings
    generator : Generator
        Source of all random numbers, shared by the fits of a run.
    uses_encoder : bool
        Whether poses are proposed by the heads of an encoder.
    symmetry : PointGroup, optional
        Point group of the map. Default: that of the settings.

    Attributes
    ----------
    volume : Volume
    encoder : Encoder or None
    particles : ParticleState
        Poses, winners, errors and entropies of the particles.
    band : Band
        Fourier shells that are compared.
    noise : Noise
        Noise variance by which images are weighted.
    shift_range : ShiftRange
        Range of the search for shifts.
    near_symmetries : NearSymmetries
        Rotations under which the map looks the same, by its point group or nearly.
    views : list of Fit
        One fit a class, if there is more than one class: the same fit, but with the volume of that class
        (`engine.classes`). The fit's own volume is that of the first class.
    number : int, optional
        Class that this fit is a view of, from 0; None: it is no view.
    class_starts : list of Tensor
        `(n, n, n)` map from which each class starts at the switch, on the CPU; empty where they start from one map.
    """

    def __init__(
        self,
        images: PreparedImages,
        settings: Settings,
        generator: torch.Generator,
        *,
        uses_encoder: bool = True,
        symmetry: PointGroup | None = None,
    ) -> None:
        self.images, self.settings, self.generator = images, settings, generator
        self.device = images.device
        self.band = Band.of(settings.volume, images.box_size, images.extent)
        self.noise = Noise.of(*(each.to(self.device) for each in (images.noise, images.shell, images.noise_group)))
        self.shift_range = ShiftRange.of(settings.encoder, images.extent)
        padding = settings.volume.padding
        self.projector = Projector(points=images.points, extent=images.extent, padding=padding).to(self.device)
        # All of these draw from one generator, so that their order decides the random numbers of each.
        make_volume, wanted = VOLUMES[settings.volume.volume_update], settings.volume
        if symmetry is not None:
            wanted = dataclasses.replace(wanted, symmetry=symmetry.name)
        self.volume = cast(AnyVolume, make_volume(images, wanted, self.band.now, generator))
        self.encoder_box = min(settings.encoder.encoder_box, images.box_size)
        self.encoder_points = fourier.half_plane(self.encoder_box).to(self.device)
        self.encoder = self._new_encoder() if uses_encoder else None
        rotations = random_rotations(len(images), generator).to(self.device)
        folds = draw_folds(images.particles, images.rows, generator).to(self.device)
        self.particles = ParticleState.of(rotations, folds, self.heads)
        self.near_symmetries = NearSymmetries.of(self.symmetry, self.device)
        self.scale_levels = scale_levels(images.particles, images.rows)
        self.views: list[Fit] = []
        self.news: list[dict[str, Any]] = []  # What happened to classes, until it is told; shared with the views.
        self.number: int | None = None
        self.class_starts: list[Tensor] = []
        if settings.volume.scales != "none":
            self.particles.scale = first_scales(images, self.scale_levels).to(self.device)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def heads(self) -> int:
        """Number of candidates that the encoder proposes for each particle; 0 without an encoder."""
        return 0 if self.encoder is None else self.encoder.heads

    @property
    def symmetry(self) -> PointGroup:
        """Point group that the map has."""
        return self.volume.symmetry

    @property
    def volume_settings(self) -> VolumeSettings:
        """Settings of a volume like that of the fit: with the symmetry that it has now."""
        return dataclasses.replace(self.settings.volume, symmetry=self.symmetry.name)

    @property
    def classes(self) -> list[Fit]:
        """The views of all classes; with one class, the fit itself."""
        return self.views or [self]

    @property
    def members(self) -> Tensor:
        """Particles `(m,)` of the class that this fit is a view of, or all, on the CPU."""
        if self.number is None:
            return torch.arange(len(self))
        return (self.particles.classes == self.number).nonzero()[:, 0].cpu()

    def fold_members(self, fold: int) -> Tensor:
        """Return those of the members `(m,)` that are in fold 0 or 1, on the CPU."""
        members = self.members
        return members[(self.particles.folds[members.to(self.device)] == fold).cpu()]

    def set_classes(self, volumes: Sequence[Volume]) -> None:
        """Give the fit the volumes of its classes, of which the first one becomes its own."""
        self.volume = cast(AnyVolume, volumes[0])
        self.views = [] if len(volumes) == 1 else [self._view(number, each) for number, each in enumerate(volumes)]

    def _view(self, number: int, volume: Volume) -> Fit:
        view = copy.copy(self)
        view.number, view.volume, view.views = number, cast(AnyVolume, volume), []
        return view

    def _new_encoder(self) -> Encoder:
        settings = self.settings.encoder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=self.generator)))
            encoder = Encoder(
                self.encoder_box,
                settings.heads,
                settings.trunk,
                self.shift_range.largest,
                half_turned=settings.half_turned,
            )
        return encoder.to(self.device)

    @property
    def holds_reference(self) -> bool:
        """Whether the volume is still the map from which the fit started: until all particles were looked at once."""
        return self.settings.start.reference is not None and bool(self.particles.error.isnan().any())

    def batch(self, rows: Tensor, band: int | None = None) -> Batch:
        """Read images, CTFs and weights of some particles in the present band, or in another.

        Parameters
        ----------
        rows : Tensor
            `(b,)` particles, on the CPU.
        band : int, optional
            Shells. Default: the present band.
        """
        count = fourier.band_size(self.images.points, self.band.now if band is None else band)
        return Batch(
            rows=rows,
            images=self.images.coefficients(rows, count),
            ctf=self.images.ctf(rows, count) * self.particles.scale[rows.to(self.device), None],
            points=self.projector.points[:count],
            weights=self.noise.weights(rows.to(self.device), count),
            extent=self.images.extent,
        )

    def batches(self, size: int | None = None, band: int | None = None) -> Iterator[Batch]:
        """Read all particles, of a view those of its class, in their order, batch by batch.

        Parameters
        ----------
        size : int, optional
            Particles a batch. Default: that of the settings.
        band : int, optional
            Shells. Default: the present band.
        """
        for rows in self.members.split(size or self.settings.schedule.batch_size):
            if len(rows):
                yield self.batch(rows, band)

    def encoder_images(self, rows: Tensor) -> Tensor:
        """Make the encoder's input of the particles `rows`: images `(b, m, m)` of unit variance each."""
        count = len(self.encoder_points)
        coefficients = self.images.coefficients(rows, count)
        if self.settings.encoder.encoder_input == "phase-flipped":
            coefficients = coefficients * self.images.ctf(rows, count).sign()
        images = fourier.from_half_plane(coefficients, self.encoder_points, self.encoder_box)
        return images / images.std((-2, -1), keepdim=True)

    def poses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the poses of a batch's particles: copies, `(b, 3, 3)` and `(b, 2)` Angstrom."""
        return self.particles.rotations[batch.where], self.particles.shifts[batch.where]

    def project(self, batch: Batch, rotations: Tensor, shifts: Tensor) -> Tensor:
        """Make noise-free images `(b, ..., p)` of the present volume at poses `(b, ..., 3, 3)`, `(b, ..., 2)`."""
        outermost = self.images.points[len(batch.points) - 1]  # Read on the CPU, so as not to wait for the device.
        band = int(outermost.square().sum().double().sqrt().ceil())
        extra = rotations.dim() - 3
        ctf = batch.ctf.reshape(len(batch), *(1,) * extra, -1)
        slices = self.volume.slices(rotations, batch.points, band)
        return self.projector.images(slices, self.shift_range.used(shifts), ctf)

    def errors(self, batch: Batch, models: Tensor) -> Tensor:
        """Compute errors `(b, m)` of candidate models `(b, m, p)` by the loss of the settings."""
        return image_errors(models, batch.images, batch.weights, self.settings.volume.loss)

    def noise_error(self, points: int) -> float:
        """Return the expected error of a pure-noise image, summed over the points. Reported losses are multiples of it.

        The mask removes a share of the noise. An absolute error is a mean over the points already, in units of noise.
        """
        return points * float(self.images.mask.square().mean()) if self.settings.volume.loss == "squared" else 1.0

    def record_errors(self, batch: Batch, models: Tensor) -> None:
        """Record the errors of models `(b, p)` of a batch's images, in units of the background's noise alone.

        The residual raises the noise variance by which images are weighted; errors in units of that would hide it.
        """
        weights = self.noise.background_weights(batch.where, len(batch.points))
        errors = image_errors(models[:, None], batch.images, weights, self.settings.volume.loss)[:, 0]
        self.particles.record_errors(batch.rows, errors / self.noise_error(len(batch.points)))
        if self.settings.volume.scales == "none":
            return
        scale = self.particles.scale[batch.where]
        overlap = ((batch.images * models.conj()).real * batch.weights).sum(-1)
        power = ((models.real.square() + models.imag.square()) * batch.weights).sum(-1)
        self.particles.record_overlap(batch.where, overlap / scale, power / scale.square())

    def update_scales(self, *, particles_differ: bool) -> None:
        """Estimate the scales of all images anew, where the settings ask for it.

        Parameters
        ----------
        particles_differ : bool
            Whether each image may have a scale of its own; else all images of a micrograph or optics group share one.
            While poses are uncertain, the overlap of one image with its best model says more of chance than of scale.
        """
        if self.settings.volume.scales == "none":
            return
        particles, levels = self.particles, self.scale_levels
        if particles_differ and self.settings.volume.scales == "particle":
            levels = [*levels, torch.arange(len(self))]
        found = estimate_scales(particles.overlap.cpu(), particles.power.cpu(), levels)
        if found is not None:
            particles.scale = found.to(particles.scale)

    def record_odds(self, batch: Batch, models: Tensor, power: Tensor) -> None:
        """Record the odds of what a batch's images show, from their models `(b, p)` and the slices' power `(p,)`."""
        kept = float(self.images.mask.square().mean())
        odds = hypothesis_odds(batch.images, models, batch.ctf, batch.weights, power, kept)
        self.particles.record_odds(batch.where, odds)

    def update_belonging(self) -> None:
        """Estimate anew for all particles with what probability their images show the particle."""
        particles = self.particles
        known = (~particles.odds[:, 0].isnan()).nonzero()[:, 0]
        scales = () if self.settings.volume.scales == "none" else (particles.overlap[known], particles.power[known])
        if len(known):
            particles.record_belonging(known, belonging(particles.odds[known], *scales))

    def mean_error(self, rows: Tensor) -> float:
        """Return the mean error of the particles `rows`: the loss of a step, in units of the error of noise."""
        return float(self.particles.error[rows].mean())

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all parts that are learned."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        classes = [view.volume.state_dict() for view in self.views[1:]]
        return state | {"classes": classes, "class_starts": self.class_starts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of a fit of the same images with the same settings.

        Raises
        ------
        KeyError, RuntimeError
            The state is of other images, other settings or another version.
        """
        parts = self._parts()
        expected = [*parts, "classes", "class_starts"]
        if set(expected) != set(state):
            raise KeyError(f"state of a fit: found {', '.join(state)}; expected {', '.join(expected)}")
        self.class_starts = [each.cpu() for each in state["class_starts"]]
        self.set_classes([self.volume, *(copy.deepcopy(self.volume) for _ in state["classes"])])
        self.particles.set_class_count(len(self.classes))
        for view, volume in zip(self.views[1:], state["classes"], strict=True):
            view.volume.load_state_dict(volume)
        for name, part in parts.items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"band": self.band, "noise": self.noise, "volume": self.volume}
        parts |= {"particles": self.particles, "near_symmetries": self.near_symmetries}
        return parts if self.encoder is None else parts | {"encoder": self.encoder}
