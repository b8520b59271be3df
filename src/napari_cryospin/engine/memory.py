"""Estimates of a run's memory from its settings; without torch, since the check before a run reads them.

The formulas count the engine's data, and so belong beside the engine. The estimates were compared with the peaks of
whole runs (docs/benchmarks.md, Memory).
"""

from __future__ import annotations

import math

from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.settings import Settings

BYTES_IN_GIB = 2.0**30
PROGRAM_MEMORY = 0.7
"""GiB of Python with all modules of a run, and of the work on a batch apart from the encoder; as measured."""
COEFFICIENT_BYTES = 8
"""Bytes of one Fourier coefficient of a prepared image (complex64)."""
LATTICE_NUMBER_BYTES = 4
"""Bytes of one number at a point of a volume's lattice (float32)."""
LATTICE_NUMBERS = {
    # Mantissa and exponent each have a value, a gradient and Adam's two moments.
    "adam": 2 * 4,
    # A network stores no lattice; one is computed where a map is made of it, with places and intermediate numbers.
    "implicit": 8,
    # Two folds have two sums each, the map and its derivatives four lattices; as many numbers again are intermediate.
    "wiener": 2 * (4 + 4),
}
"""Numbers that a volume holds for each point of its lattice while it is updated, by `volume_update`."""
ENCODER_BYTES = {"small": 600, "vgg16": 2400}
"""Bytes for each pixel of an image in the encoder, all layers together, as measured; by trunk."""


NETWORK_NUMBERS = 2 * 2 * 7 * 256
"""Numbers that a step holds for each point of an image in an implicit volume: 7 layers of 256 units before and after
their sines, with as many gradients."""


def data_memory(count: int, box: int, settings: Settings) -> float:
    """Estimate the memory of prepared images and volumes, in GiB.

    Images are stored as half planes of their transforms, all of them or none (`PreparationSettings.cache`). Each half
    set has a volume of its own, and so has each class.

    Parameters
    ----------
    count
        Number of particles used.
    box
        Working box, in pixels.
    settings
        Settings of the run.
    """
    images = image_memory(count, box)
    kept = images if images <= settings.preparation.cache else 0.0
    halves = 2 if settings.preparation.half_sets else 1
    return kept + halves * settings.volume.classes * volume_memory(box, settings)


def image_memory(count: int, box: int) -> float:
    """Estimate the memory of `count` images as half planes of a working box in pixels, in GiB."""
    points = math.pi * (box / 2) ** 2 / 2
    return count * points * COEFFICIENT_BYTES / BYTES_IN_GIB


def volume_memory(box: int, settings: Settings) -> float:
    """Estimate the memory of one volume during its update, for a working box in pixels, in GiB."""
    points = (settings.volume.padding * box + 1) ** 3
    return LATTICE_NUMBERS[settings.volume.volume_update] * LATTICE_NUMBER_BYTES * points / BYTES_IN_GIB


def network_memory(count: int, box: int, settings: Settings) -> float:
    """Estimate the memory of one training step of an implicit volume, in GiB; parameters as of `data_memory`."""
    if settings.volume.volume_update != "implicit":
        return 0.0
    points = math.pi * (box / 2) ** 2 / 2
    images = min(count, settings.schedule.batch_size)
    return images * points * NETWORK_NUMBERS * LATTICE_NUMBER_BYTES / BYTES_IN_GIB


def encoder_memory(count: int, box: int, settings: Settings) -> float:
    """Estimate the memory of one training step of the encoder, in GiB; parameters as of `data_memory`."""
    if not DESCRIPTIONS[settings.method].uses_encoder:
        return 0.0
    batch = min(count, settings.schedule.batch_size, settings.encoder.encoder_batch)
    side = min(box, settings.encoder.encoder_box)
    batch *= 2 if settings.encoder.half_turned else 1
    return batch * side**2 * ENCODER_BYTES[settings.encoder.trunk] / BYTES_IN_GIB


def run_memory(count: int, box: int, settings: Settings) -> float:
    """Estimate the memory of a whole run, in GiB; parameters as of `data_memory`."""
    steps = encoder_memory(count, box, settings) + network_memory(count, box, settings)
    return PROGRAM_MEMORY + data_memory(count, box, settings) + steps
