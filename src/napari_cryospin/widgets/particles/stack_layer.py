"""Particle images as a layer of napari, each read from the disk when it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info
from numpy.typing import NDArray

from napari_cryospin.listing import first_of
from napari_cryospin.particles import Particles

if TYPE_CHECKING:
    from napari.types import LayerData
    from napari.viewer import Viewer

CONTRAST_IMAGES = 20
"""Number of images that the contrast limits are computed from."""


class LazyStack:
    """Images of particles as an array `(n, box, box)` that reads the images that are indexed.

    Parameters
    ----------
    particles
        Particles with a common box.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(self, particles: Particles) -> None:
        boxes = np.unique(particles.box_sizes)
        if len(boxes) > 1:
            raise ValueError(f"{particles.source}: found boxes of {first_of(boxes)} px, expected one for a layer")
        self.particles = particles
        self.shape = (len(particles), int(boxes[0]), int(boxes[0]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        rows, *inner = key if isinstance(key, tuple) else (key,)
        chosen = np.arange(len(self))[rows]
        images = self.particles.read_images(np.atleast_1d(chosen))
        if np.ndim(chosen) == 0:
            return images[0][tuple(inner)]
        return images[(slice(None), *inner)]


def stack_layer(particles: Particles) -> LayerData:
    """Make the image layer of a particle set, in Angstrom and with contrast limits.

    Raises
    ------
    ValueError, OSError
        Boxes differ, or images cannot be read.
    """
    stack = LazyStack(particles)
    rows = np.unique(np.linspace(0, len(particles) - 1, CONTRAST_IMAGES).astype(int))
    images = particles.read_images(rows)
    spread = 4 * float(images.std())
    size = float(particles.pixel_sizes[0])
    keywords = {
        "name": f"particles {particles.source.stem}",
        "colormap": "gray",
        "contrast_limits": (float(images.mean()) - spread, float(images.mean()) + spread),
        "scale": (1.0, size, size),
        "units": ("angstrom",) * 3,  # The first axis has them too, because napari warns where layers differ.
    }
    return stack, keywords, "image"  # type: ignore[return-value]


class ShownStack(LazyStack):
    """Images as a layer of a viewer, of which 3D shows the first alone instead of all images as one volume.

    napari draws in 3D before a plugin can hide the layer, and a stack is often larger than the memory.
    """

    def __init__(self, particles: Particles, viewer: Viewer) -> None:
        super().__init__(particles)
        self.viewer = viewer

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        volume = isinstance(key, tuple) and len(key) == self.ndim and key[0] == slice(None)
        return super().__getitem__((slice(1), *key[1:]) if volume and self.viewer.dims.ndisplay == 3 else key)


def add_stack_layer(viewer: Viewer, particles: Particles) -> None:
    """Show a particle set as a layer, which is hidden in 3D."""
    _, keywords, _ = stack_layer(particles)
    viewer.dims.ndisplay = 2
    layer = viewer.add_image(ShownStack(particles, viewer), **keywords)

    def hide_in_3d(_: Any = None) -> None:
        if layer not in viewer.layers:
            viewer.dims.events.ndisplay.disconnect(hide_in_3d)
            layer.events.visible.disconnect(hide_in_3d)
        elif viewer.dims.ndisplay == 3 and layer.visible:
            layer.visible = False
            show_info(f"{layer.name}: hidden, as particle images are shown in 2D only.")

    viewer.dims.events.ndisplay.connect(hide_in_3d)
    layer.events.visible.connect(hide_in_3d)
    viewer.reset_view(reset_camera_angle=False)  # The layer shown before, such as a map, had another size.
