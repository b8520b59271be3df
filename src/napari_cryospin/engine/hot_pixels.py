"""Hot and dead pixels: found by their neighbours, and replaced."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FAR_OFF = 8.0
"""Standard deviations of the background by which a hot or dead pixel differs from the background and from its
neighbours: noise does so once in 10^15 pixels. Chosen by hand."""
BRIGHT_SHARE = 0.02
"""Share of an image's pixels, the brightest and darkest, that may be hot or dead. Chosen by hand."""
BRIGHTER = 4.0
"""How many times the grey value of the others a hot pixel differs from its neighbours. Chosen by hand: with less, peaks
of simulated molecules at 17 A a pixel and SNR 1 were replaced, with this none (docs/method.md, Preparation)."""
SPREADS = 6.0
"""How many times the spread of its neighbours it differs from them: pixels of a normal peak two pixels wide at half its
height differ by less than 4. Chosen by hand."""
ROUNDS = 3
"""Rounds in which clusters are replaced from their corners inwards; three suffice for 3 x 3 pixels."""
NEIGHBOURS = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)])


def replace_hot_pixels(images: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Replace hot and dead pixels by the median of their neighbours, in place.

    A pixel counts as hot where it lies far above its neighbours, up to three of which may be hot as well, and above
    all but a few of the image's pixels; dead pixels lie below. Nothing is replaced where the neighbours themselves vary
    as much, or where the image has many bright pixels, as a bright particle has.

    Parameters
    ----------
    images
        `(k, n, n)`, with a background of zero mean and unit variance.

    Returns
    -------
    ndarray
        `(k,)` number of pixels replaced.
    """
    replaced = np.zeros(len(images), np.int64)
    suspects = np.flatnonzero((images.max((1, 2)) > FAR_OFF) | (images.min((1, 2)) < -FAR_OFF))
    limits = np.full(len(images), FAR_OFF, np.float32)
    limits[suspects] = np.maximum(FAR_OFF, BRIGHTER * _bright_values(images[suspects]))
    for _ in range(ROUNDS):
        image, y, x = np.nonzero(np.abs(images[suspects]) > limits[suspects, None, None])
        image = suspects[image]
        above, spread, value = _compared(images, image, y, x)
        hot = (above > limits[image]) & (above > SPREADS * spread)
        images[image[hot], y[hot], x[hot]] = value[hot]
        replaced += np.bincount(image[hot], minlength=len(images))
        suspects = np.unique(image[hot])
    return replaced


def _bright_values(images: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the absolute grey value `(k,)` that all but the brightest and darkest pixels of an image stay below."""
    values = np.abs(images).reshape(-1, images.shape[1] * images.shape[2])
    place = int((1 - BRIGHT_SHARE) * (values.shape[1] - 1))
    values.partition(place, axis=1)
    return values[:, place]


def _compared(
    images: NDArray[np.floating[Any]], image: NDArray[Any], y: NDArray[Any], x: NDArray[Any]
) -> tuple[NDArray[np.floating[Any]], ...]:
    """Compare pixels with their eight neighbours: how far above (or below), their spread, and their median.

    Spread and distance are those of the five neighbours that differ most from the pixel: the others may be hot too.
    """
    last = images.shape[-1] - 1
    # At the edges the neighbours are mirrored.
    rows = last - np.abs(last - np.abs(y[:, None] + NEIGHBOURS[:, 0]))
    columns = last - np.abs(last - np.abs(x[:, None] + NEIGHBOURS[:, 1]))
    sign = np.sign(images[image, y, x])
    around = np.sort(images[image[:, None], rows, columns] * sign[:, None], axis=1)
    median = (around[:, 3] + around[:, 4]) / 2
    return np.abs(images[image, y, x]) - median, around[:, 4] - around[:, 0], median * sign
