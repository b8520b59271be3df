"""The volumes of a fit, by the setting `volume_update` that names how they are learned."""

from __future__ import annotations

from collections.abc import Callable

import torch

from napari_cryospin.engine.defaults import MASK_EDGE
from napari_cryospin.engine.images import PreparedImages
from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.models.implicit_volume import ImplicitVolume
from napari_cryospin.models.volume import Volume
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.settings import VolumeSettings

MakeVolume = Callable[[PreparedImages, VolumeSettings, int, torch.Generator], Volume]
"""Function of images, settings, first band and generator that makes a random volume on the images' device."""


def hartley_volume(
    images: PreparedImages, settings: VolumeSettings, first_band: int, generator: torch.Generator
) -> HartleyVolume:
    """Make the paper's volume, which is learned by gradients."""
    volume = HartleyVolume(
        images.box_size,
        settings.padding,
        first_band=first_band,
        symmetry=settings.symmetry,
        plain=not settings.exponent,
        generator=generator,
    )
    return volume.to(images.device)


def implicit_volume(
    images: PreparedImages, settings: VolumeSettings, first_band: int, generator: torch.Generator
) -> ImplicitVolume:
    """Make cryoAI's volume, a network that is learned by gradients."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        volume = ImplicitVolume(images.box_size, settings.padding, first_band=first_band, symmetry=settings.symmetry)
    return volume.to(images.device)


def wiener_volume(
    images: PreparedImages, settings: VolumeSettings, first_band: int, generator: torch.Generator
) -> WienerVolume:
    """Make the volume in closed form, masked by the sphere that holds the images' mask and half of its edge."""
    return WienerVolume(
        images.box_size,
        settings.padding,
        first_band=first_band,
        mask_radius=min(0.5, images.mask_radius / images.box_size + MASK_EDGE / 2),
        symmetry=settings.symmetry,
        generator=generator,
        device=images.device,
    )


VOLUMES: dict[str, MakeVolume] = {"adam": hartley_volume, "implicit": implicit_volume, "wiener": wiener_volume}
"""Setting `volume_update` -> function that makes its volume."""
