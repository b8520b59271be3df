"""Estimate of the contrast, white or black protein, from the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_cryospin.particles import Particles, image_faults

CONTRAST_SAMPLE = 200
"""Largest number of images in the sample, which are evenly spaced over the particles. Chosen by hand."""
CONTRAST_SIGNIFICANCE = 4.0
"""Number of standard errors that the mean difference must reach for a verdict. Chosen by hand."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Contrast of a particle set."""

    verdict: Literal["white", "black", "unclear"]
    """Protein brighter than its surroundings, darker, or not distinguishable."""
    difference: float
    """Centre minus rim, in standard deviations of the low-passed images; mean over the sample."""
    error: float
    """Standard error of `difference`."""
    count: int
    """Number of images in the sample."""

    def __str__(self) -> str:
        figure = f"centre {self.difference:+.2f} +- {self.error:.2f} sd against the rim, {self.count} images"
        return f"protein {self.verdict} ({figure})"


def judge_contrast(particles: Particles, sign: float = 1.0) -> Contrast:
    """Estimate the contrast of particles by comparing the centre of low-passed images with their rim.

    Images that cannot be used are skipped.

    Parameters
    ----------
    particles
        Particles whose stacks exist.
    sign
        Factor of the images: -1 if their contrast will be inverted.

    Raises
    ------
    ValueError
        No image of the sample can be used.
    """
    rows = np.unique(np.linspace(0, len(particles) - 1, min(CONTRAST_SAMPLE, len(particles))).astype(int))
    differences = np.concatenate(
        [
            _centre_against_rim(particles, rows[particles.box_sizes[rows] == box])
            for box in np.unique(particles.box_sizes)
        ]
    )
    if not len(differences):
        raise ValueError(f"{particles.source}: none of the {len(rows)} images looked at can be used")
    difference = sign * float(differences.mean())
    error = float(differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else np.inf
    if abs(difference) < CONTRAST_SIGNIFICANCE * error:
        verdict: Literal["white", "black", "unclear"] = "unclear"
    else:
        verdict = "white" if difference > 0 else "black"
    return Contrast(verdict=verdict, difference=difference, error=error, count=len(differences))


def _centre_against_rim(particles: Particles, rows: np.ndarray) -> np.ndarray:
    """Compute the centre's mean minus the rim's mean, over the standard deviation, `(k,)`, for images of one box."""
    box = int(particles.box_sizes[rows[0]]) if len(rows) else 0
    axis = np.arange(box) - box // 2
    radius = np.hypot(axis[:, None], axis)
    centre, rim = radius < 0.2 * box, (radius > 0.4 * box) & (radius < 0.5 * box)
    differences = []
    for row in rows:  # One image at a time limits the memory for large images.
        images = particles.read_images([row], checked=False)
        if image_faults(images):
            continue
        image = gaussian_filter(images[0], box / 20)
        differences.append((image[centre].mean() - image[rim].mean()) / image.std())
    return np.array(differences)
