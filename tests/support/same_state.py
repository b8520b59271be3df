"""Equality of states, whatever is nested in what."""

from typing import Any

import torch


def assert_same(a: Any, b: Any, where: str = "state") -> None:
    """Assert that two states are bit for bit equal."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, where
        assert torch.equal(a.nan_to_num(12345.0), b.nan_to_num(12345.0)), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{where}[{index}]")
    else:
        assert a == b or (a != a and b != b), where
