"""The raised cosine of masks and filters."""

import numpy as np
import torch

from napari_cryospin.physics.masks import raised_cosine, raised_cosine_tensor


def test_it_falls_from_1_to_0_over_the_edge():
    distance = np.linspace(-3, 7, 101)
    values = raised_cosine(distance, 4.0)
    assert (values[distance <= 0] == 1).all()
    np.testing.assert_allclose(values[distance >= 4], 0, atol=1e-15)
    np.testing.assert_allclose(raised_cosine(np.array([1.0, 2.0, 3.0]), 4.0), [0.5 + 8**-0.5, 0.5, 0.5 - 8**-0.5])
    assert (np.diff(values[(distance >= 0) & (distance <= 4)]) < 0).all()


def test_it_is_the_same_for_tensors():
    distance = np.linspace(-3, 7, 101)
    tensor = raised_cosine_tensor(torch.from_numpy(distance), 4.0)
    np.testing.assert_allclose(tensor.numpy(), raised_cosine(distance, 4.0), atol=1e-15)
