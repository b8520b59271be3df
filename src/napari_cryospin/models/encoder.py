"""The multi-choice encoder: Gaussian filter bank, shared convolutional trunk, M pose heads (paper, section 4.1)."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn

from napari_cryospin.geometry.so3 import rotation_from_6d

GAUSSIAN_SCALES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Standard deviations of the filter bank, in pixels of a 128 px image; 0 leaves the image as it is."""

VGG16_CHANNELS = (40, 80, 160, 256, 256)
"""Channels of each level: VGG16 layout (2, 2, 3, 3, 3 convolutions), with fewer channels to meet paper, Table 2."""
FIRST_SHIFTS = 0.1
"""Factor on the initial weights of the shift outputs, without unit. Small weights keep the first shifts away from the
ends of the range, where tanh is flat and a shift hardly learns."""


class GaussianBank(nn.Module):
    """Fixed bank of Gaussian low-pass filters, one channel a scale, applied in Fourier space."""

    filters: Tensor

    def __init__(self, box_size: int) -> None:
        super().__init__()
        ky, kx = torch.fft.fftfreq(box_size)[:, None], torch.fft.rfftfreq(box_size)[None]
        scales = torch.tensor(GAUSSIAN_SCALES)[:, None, None] * box_size / 128
        filters = torch.exp(-2 * (math.pi * scales) ** 2 * (kx**2 + ky**2))
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Filter images `(b, n, n)`: `(b, scales, n, n)`, all channels of unit variance over the batch."""
        low = torch.fft.irfft2(torch.fft.rfft2(images)[:, None] * self.filters, s=images.shape[-2:])
        return low / low.std((0, 2, 3), keepdim=True).clamp(min=1e-6)


def _convolutions(channels: tuple[int, ...], per_level: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    before = len(GAUSSIAN_SCALES)
    for width, count in zip(channels, per_level, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            before = width
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers)


def half_turn(images: Tensor) -> Tensor:
    """Turn images `(..., n, n)` by half a turn about pixel `n // 2` of each axis, the origin of their transforms."""
    shift = 1 - images.shape[-1] % 2
    return images.flip((-2, -1)).roll((shift, shift), (-2, -1))


class PoseHeads(nn.Module):
    """M heads of fully connected layers with separate weights, evaluated together as batched products."""

    def __init__(self, heads: int, features: int, hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        sizes = (features, *hidden, outputs)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after in itertools.pairwise(sizes):
            weight = torch.empty(heads, before, after).normal_(std=math.sqrt(2 / before))
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(heads, 1, after)))
        # All heads see all images. Their different random weights alone let them specialise.

    def forward(self, features: Tensor) -> Tensor:
        """Evaluate all heads on features `(b, features)`: `(b, heads, outputs)`."""
        values = features.expand(len(self.weights[0]), -1, -1)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias, values, weight)
            if index + 1 < len(self.weights):
                values = torch.relu(values)
        return values.transpose(0, 1)


class Encoder(nn.Module):
    """Multi-choice encoder that maps each image to M candidate poses (paper, Eq. 4).

    Parameters
    ----------
    box_size : int
        Box of the input images, pixels.
    heads : int
        Number of heads, M.
    trunk : str
        "vgg16": the paper's sizes. "small": six convolutions in four levels, for CPUs.
    max_shift : float
        Largest shift along x and y, Angstrom; 0: the particles are centred, and no shift is predicted.
    half_turned : bool
        Each image is seen as it is and turned by half a turn in its plane, by the same network (cryoAI, section 3.4).

    Attributes
    ----------
    heads : int
        Number of candidates of an image: of all heads for the image, then of all heads for its half-turned copy.
    frame, origin : Tensor
        `(3, 3)` and `(3,)` Angstrom: the present axes of the map in those that the heads have learned, and where their
        middle lies there. Poses are proposed for the present axes.
    """

    frame: Tensor
    origin: Tensor

    def __init__(
        self,
        box_size: int,
        heads: int,
        trunk: Literal["small", "vgg16"],
        max_shift: float = 0.0,
        *,
        half_turned: bool = False,
    ) -> None:
        super().__init__()
        self.max_shift, self.half_turned = max_shift, half_turned
        self.heads = 2 * heads if half_turned else heads
        self.bank = GaussianBank(box_size)
        outputs = 8 if max_shift > 0 else 6
        hidden: tuple[int, ...]
        if trunk == "vgg16":
            self.trunk = _convolutions(VGG16_CHANNELS, (2, 2, 3, 3, 3))
            self.pool, features, hidden = nn.AdaptiveAvgPool2d(2), VGG16_CHANNELS[-1] * 4, (512, 256)
        else:
            self.trunk = _convolutions((32, 64, 128, 128), (1, 1, 2, 2))
            self.pool, features, hidden = nn.AdaptiveAvgPool2d(2), 128 * 4, (128,)
        self.pose = PoseHeads(heads, features, hidden, outputs)
        with torch.no_grad():
            self.pose.weights[-1][..., 6:] *= FIRST_SHIFTS
        self.register_buffer("frame", torch.eye(3))
        self.register_buffer("origin", torch.zeros(3))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the candidate poses of images.

        Parameters
        ----------
        images : Tensor
            `(b, n, n)` images of about unit variance.

        Returns
        -------
        rotations : Tensor
            `(b, heads, 3, 3)`.
        shifts : Tensor
            `(b, heads, 2)` Angstrom.
        """
        if not self.half_turned:
            return self._poses(images)
        rotations, shifts = self._poses(torch.cat((images, half_turn(images))))
        own, copy = slice(len(images)), slice(len(images), None)
        back = rotations.new_tensor([-1.0, -1.0, 1.0])[:, None]  # A pose of the copy, turned back by half a turn.
        return torch.cat((rotations[own], back * rotations[copy]), 1), torch.cat((shifts[own], -shifts[copy]), 1)

    def _poses(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the poses of images as they are, one a head."""
        features = self.pool(self.trunk(self.bank(images).contiguous(memory_format=torch.channels_last)))
        outputs = self.pose(features.flatten(1))
        learned = rotation_from_6d(outputs[..., :6])
        rotations = learned @ self.frame
        if self.max_shift > 0:
            return rotations, self.max_shift * torch.tanh(outputs[..., 6:]) - learned[..., :2, :] @ self.origin
        return rotations, outputs.new_zeros(*outputs.shape[:-1], 2)

    def turn(self, axes: Tensor, centre: Tensor) -> None:
        """Propose poses for other axes of the map, `(3, 3)` in the present ones, whose middle lies at `(3,)` Angstrom.

        The heads keep what they have learned.
        """
        self.origin += self.frame @ centre
        self.frame.copy_(self.frame @ axes)
