"""Use the parts alone: slice a map, give the slices a CTF, average them again, and compare the map with the first.

python examples/physics.py
"""

import numpy as np
import torch

import napari_cryospin as spin
from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.evaluation.map_alignment import align_maps, apply_alignment
from napari_cryospin.geometry.so3 import exponential_map, random_rotations, rotation_distance
from napari_cryospin.io.mrc import read_map
from napari_cryospin.physics import fourier
from napari_cryospin.physics.ctf import ctf
from napari_cryospin.physics.map_crop import fourier_crop_map
from napari_cryospin.physics.slicing import central_slices, insert_slices

BOX, PADDING, COUNT = 32, 2, 2000

# A map of 32 px, and its Hartley transform on an oversampled lattice.
large, pixel_size = read_map(spin.SAMPLE_MAPS["spliceosome"])
pixel_size *= len(large) / BOX
density = fourier_crop_map(torch.from_numpy(large), BOX)
lattice = fourier.map_to_hartley(density, PADDING)

# Slices at random rotations are the transforms of projections; a CTF of 1.5 um defocus multiplies them.
generator = torch.Generator().manual_seed(1)
rotations = random_rotations(COUNT, generator)
points = fourier.half_plane(BOX)
slices = central_slices(lattice, rotations, points, PADDING)  # (count, points) complex
parameters = torch.tensor([15000.0, 14500.0, 30.0, 300.0, 2.7, 0.1, 0.0, 1.0, 0.0]).expand(COUNT, -1)
transfer = ctf(parameters, points, BOX * pixel_size)  # (count, points)
images = slices * transfer

# The map that explains them best is a weighted average in Fourier space: one lattice of all images.
size, weighted, weights = lattice.shape[-1], images * transfer, transfer.square()
(sums,) = insert_slices(rotations[None], points, weighted[None], weights[None], size=size, padding=PADDING)
numerator, denominator = sums
envelope = fourier.grid_envelope(BOX, PADDING, lattice.device).square()
found = fourier.hartley_to_map(numerator / (denominator + 1e-2 * denominator.mean()), BOX) / envelope

curve = fsc(density.numpy(), found.numpy(), pixel_size)
print(f"FSC 0.5 at {curve.resolution(0.5):.1f} A, Nyquist at {2 * pixel_size:.1f} A")

# A map in another frame is laid on the first, as half maps are: turned away by 50 degrees, then found again.
away = exponential_map(torch.tensor([0.3, 0.5, 0.65], dtype=torch.float64)).numpy()
moved = apply_alignment(found.numpy(), away, np.array([3.0, -2.0, 5.0]), pixel_size)
back = align_maps(density.numpy(), moved, pixel_size)
left = rotation_distance(torch.from_numpy(back.rotation @ away), torch.eye(3, dtype=torch.float64))
print(f"turned away by 50 degrees and back: {float(left):.2f} degrees are left")
