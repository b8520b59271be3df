"""The implicit Fourier field: two networks of sines, one the mantissa and one the exponent (cryoAI, section 3.3).

Levy et al., CryoAI: amortized inference of poses for ab initio reconstruction of 3D molecular volumes from real
cryo-EM images, ECCV 2022. Layers, units and frequencies are those of their public code.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

HIDDEN_UNITS = 256
"""Units of every hidden layer (cryoAI's public code)."""
MANTISSA_LAYERS, EXPONENT_LAYERS = 4, 3
"""Layers of sines: cryoAI's public code counts 3 and 2 after the first one."""
MANTISSA_FREQUENCY, EXPONENT_FREQUENCY = 40.0, 30.0
"""Factors within the sines, for coordinates that end at 1 (cryoAI's public code)."""


class SineNetwork(nn.Module):
    """Fully connected layers with sines between them, and a linear one at the end (Sitzmann et al., NeurIPS 2020).

    Parameters
    ----------
    layers : int
        Layers of sines.
    frequency : float
        Factor within the sines. First weights are as for plain layers, and later ones smaller by it.
    """

    def __init__(self, layers: int, frequency: float) -> None:
        super().__init__()
        self.frequency = frequency
        linear = [nn.Linear(before, after) for before, after in itertools.pairwise((3, *[HIDDEN_UNITS] * layers, 2))]
        self.layers = nn.ModuleList(linear)
        with torch.no_grad():
            for number, layer in enumerate(linear):
                largest = math.sqrt(6 / layer.in_features) / frequency if number else 1 / layer.in_features
                layer.weight.uniform_(-largest, largest)

    def forward(self, places: Tensor) -> Tensor:
        """Compute two values at places `(n, 3)`: `(n, 2)`."""
        *hidden, last = self.layers
        values = places
        for layer in hidden:
            values = torch.sin(self.frequency * layer(values))
        result: Tensor = last(values)
        return result


class FourierNet(nn.Module):
    """A field with Friedel symmetry: real and imaginary part are each a mantissa times the exponential of an exponent.

    The networks are read in one half of space; in the other half, the field is the conjugate of that at the mate.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mantissa = SineNetwork(MANTISSA_LAYERS, MANTISSA_FREQUENCY)
        self.exponent = SineNetwork(EXPONENT_LAYERS, EXPONENT_FREQUENCY)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    def forward(self, places: Tensor) -> Tensor:
        """Compute the field at places `(n, 3)`, which reach from -1 to 1 along each axis: `(n,)` complex."""
        side = side_of_space(places)
        half = places * side[:, None]
        real, imaginary = (self.mantissa(half) * self.exponent(half).exp()).unbind(-1)
        return torch.complex(real, imaginary * side * places.any(-1))


def side_of_space(places: Tensor) -> Tensor:
    """Return 1 or -1 for places `(n, 3)`, so that a place and its mate differ: the sign of x, or of y, or of z.

    At the origin, which is its own mate, it is 1.
    """
    x, y, z = places.detach().sign().unbind(-1)
    first = torch.where(x != 0, x, torch.where(y != 0, y, z))
    return torch.where(first != 0, first, torch.ones_like(first))
