"""Small simulated particles in memory, with their true poses."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cryospin.geometry.point_groups import group_matrices
from napari_cryospin.particles import Particles
from napari_cryospin.simulation.images import Projections, SimulationSettings, draw_ctf, draw_rotations, noise_images

EXTENT = 96.0
"""Side of the box, Angstrom, whatever the number of pixels."""


@pytest.fixture(scope="session")
def make_phantom() -> Callable[[int], Tensor]:
    """Maker of `(n, n, n)` float32 maps of one molecule of blobs, without symmetry, in a box of 96 A."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(14, 3))
    centres *= (28 * rng.uniform(0.3, 1, 14) ** (1 / 3) / np.linalg.norm(centres, axis=1))[:, None]

    def make(box: int, width: float = 5.0) -> Tensor:
        line = (np.arange(box) - box // 2) * EXTENT / box
        x, y, z = (np.exp(-((line - centres[:, axis, None]) ** 2) / (2 * width**2)) for axis in range(3))
        return torch.from_numpy(np.einsum("bx,by,bz->zyx", x, y, z)).float()

    return make


def symmetric_phantom(box: int, symmetry: str, blobs: int = 6, width: float = 4.0, seed: int = 5) -> Tensor:
    """Make an `(n, n, n)` map of one chiral group of blobs and its copies under a point group, in a box of 96 A."""
    return turned_phantom(box, symmetry, np.eye(3), np.zeros(3), blobs, width, seed)


def turned_phantom(
    box: int, symmetry: str, rotation: np.ndarray, shift: np.ndarray, blobs: int = 6, width: float = 4.0, seed: int = 5
) -> Tensor:
    """Make a `symmetric_phantom`, turned by a rotation `(3, 3)` and then moved by `(3,)` A."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(blobs, 3))
    radii = rng.uniform(12, 32, blobs)
    unit = directions / np.linalg.norm(directions, axis=1)[:, None] * radii[:, None]
    centres = (group_matrices(symmetry) @ unit.T).transpose(0, 2, 1).reshape(-1, 3) @ rotation.T + shift
    weights = np.tile(rng.uniform(0.5, 1.5, blobs), len(centres) // blobs)
    line = (np.arange(box) - box // 2) * EXTENT / box
    x, y, z = (np.exp(-((line - centres[:, axis, None]) ** 2) / (2 * width**2)) for axis in range(3))
    return torch.from_numpy(np.einsum("b,bx,by,bz->zyx", weights, x, y, z)).float()


@dataclasses.dataclass(frozen=True)
class Simulated:
    """Particles in memory, with their true poses, and what they were made of."""

    particles: Particles
    density: Tensor
    images: np.ndarray
    """`(n, box, box)`; the particles read this array."""
    noise_variance: float


def in_memory(images: np.ndarray, pixel_size: float, **fields) -> Particles:
    """Particles of one stack that is an array."""
    n = len(images)
    values = {
        "stacks": (Path("memory.mrcs"),),
        "stack_index": np.zeros(n, np.int32),
        "slice_index": np.arange(n),
        "box_sizes": np.full(n, images.shape[-1], np.int32),
        "pixel_sizes": np.full(n, pixel_size),
        "contrast": np.ones(n, np.float32),
        "ctf": None,
        "rotations": None,
        "shifts": None,
        "half_sets": None,
        "optics_groups": np.zeros(n, np.int32),
        "source": Path("memory.star"),
        "open_stack": lambda path: images,
    }
    return Particles(**{**values, **fields})


@pytest.fixture(scope="session")
def simulate() -> Callable[..., Simulated]:
    """Simulate particles of a map in memory: `simulate(density, count=..., snr=..., ...)` as `SimulationSettings`."""

    def make(density: Tensor, extent: float = EXTENT, **settings) -> Simulated:
        choice = SimulationSettings(**settings)
        box = density.shape[-1]
        poses, filters, noise = np.random.default_rng(choice.seed).spawn(3)
        rotations = draw_rotations(choice, poses)
        shifts = poses.normal(0, choice.shift_sd, (choice.count, 2))
        ctf = draw_ctf(choice, filters, None)
        images = Projections(density, extent / box)(rotations, shifts, ctf)
        variance = 0.0 if choice.snr is None else float(images.var()) / choice.snr
        if variance:
            images = images + noise_images(choice.count, box, variance, noise, coloured=choice.noise == "coloured")
        stack = images.numpy()
        particles = in_memory(stack, extent / box, ctf=ctf, rotations=rotations, shifts=shifts)
        return Simulated(particles, density, stack, variance)

    return make
