"""Equality of states, whatever is nested in what, and wherever tensors lie."""

import dataclasses
from typing import Any

import numpy as np
import torch


def assert_same(found: Any, expected: Any, where: str = "state") -> None:
    """Assert that two things are equal bit for bit."""
    if isinstance(expected, torch.Tensor | np.ndarray):
        assert isinstance(found, torch.Tensor) == isinstance(expected, torch.Tensor), where
        arrays = [one.detach().cpu().numpy() if isinstance(one, torch.Tensor) else one for one in (found, expected)]
        assert arrays[0].dtype == arrays[1].dtype, where
        np.testing.assert_array_equal(*arrays, err_msg=where)
        return
    assert type(found) is type(expected), where
    if dataclasses.is_dataclass(expected):
        found, expected = vars(found), vars(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_same(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for index, pair in enumerate(zip(found, expected, strict=True)):
            assert_same(*pair, f"{where}[{index}]")
    else:
        assert found == expected or (found != found and expected != expected), where
