"""Which particles are no independent observations, and so belong into one half set (docs/half_sets.md)."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_cryospin.particles import Particles


def image_numbers(particles: Particles) -> NDArray[np.int64]:
    """Return the number of each particle's image `(n,)`, the same for a stack that has several names."""
    stacks = np.unique([os.path.realpath(stack) for stack in particles.stacks], return_inverse=True)[1]
    slices = particles.slice_index.astype(np.int64)
    places = stacks[particles.stack_index] * (int(slices.max()) + 1) + slices
    return np.unique(places, return_inverse=True)[1].astype(np.int64)


def related_groups(particles: Particles) -> NDArray[np.int64]:
    """Return the number of each particle's group of related particles `(n,)`, in the order of the groups' first rows.

    Related are the rows of one image and those that the file relates, directly or through others.
    """
    known = () if particles.relations is None else particles.relations.T
    count = nodes = len(particles)
    rows, groups = [], []
    for numbers in (image_numbers(particles), *known):
        members = np.flatnonzero(numbers >= 0)
        rows.append(members)
        groups.append(nodes + numbers[members])
        nodes += int(numbers.max(initial=-1)) + 1
    links = np.concatenate(rows), np.concatenate(groups)
    graph = coo_array((np.ones(len(links[0]), dtype=np.int8), links), shape=(nodes, nodes))
    found = connected_components(graph, directed=False)[1][:count]
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]


def repeated_images(particles: Particles) -> str:
    """Describe how many images occur in several rows; empty: none does."""
    counts = np.bincount(image_numbers(particles))
    times = counts[counts > 1]
    if not len(times):
        return ""
    images = f"{len(times):,} image{'s occur' if len(times) > 1 else ' occurs'}"
    return f"{images} {_often(times)}; half sets that a run draws keep the rows of an image together"


def _often(times: NDArray[np.int64]) -> str:
    if times.min() < times.max():
        return f"more than once (up to {times.max()} times)"
    return "twice" if times.max() == 2 else f"{times.max()} times"


def separated_groups(particles: Particles) -> int:
    """Count the groups of related particles of which the file's own half sets have some in either half."""
    if particles.half_sets is None:
        return 0
    groups = related_groups(particles)
    in_half = [np.bincount(groups[particles.half_sets == half], minlength=groups.max() + 1) > 0 for half in (1, 2)]
    return int((in_half[0] & in_half[1]).sum())
