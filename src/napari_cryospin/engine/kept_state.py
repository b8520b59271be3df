"""State that is saved and loaded by the fields of its dataclass, so that a new field is stored without further code."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

import torch
from torch import Tensor

CONSTANT = {"constant": True}
"""Metadata of a field that is not saved: it follows from the images and the settings."""


class KeptState:
    """Base of dataclasses that are saved and loaded field by field.

    A field may hold a tensor, a plain value, an `Enum`, or another dataclass; see `saved`.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return all fields that are not constant, for `load_state_dict`."""
        state: dict[str, Any] = saved(self)
        return state

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device | str = "cpu") -> None:
        """Load what `state_dict` returned; it is copied.

        Parameters
        ----------
        state : Mapping
            One value a field.
        device : torch.device
            Device of tensors whose field holds no tensor now; the others stay on their device.

        Raises
        ------
        KeyError
            Fields are missing or unknown: the state is of another class, or of another version.
        """
        for name, value in _loaded_fields(self, state, device).items():
            setattr(self, name, value)


def saved(value: Any) -> Any:
    """Return a value as plain types and tensors, which can be read from a file without running code."""
    if dataclasses.is_dataclass(value):
        return {field.name: saved(getattr(value, field.name)) for field in _kept_fields(value)}
    return value.value if isinstance(value, Enum) else value


def loaded(present: Any, state: Any, device: torch.device | str = "cpu") -> Any:
    """Return the value that `saved` made `state` of. `present`, a value of the same kind, is not changed."""
    if dataclasses.is_dataclass(present) and not isinstance(present, type):
        return dataclasses.replace(present, **_loaded_fields(present, state, device))
    if isinstance(state, Tensor):
        return state.to(present.device if isinstance(present, Tensor) else device, copy=True)
    return type(present)(state) if isinstance(present, Enum) else copy.deepcopy(state)


def _kept_fields(owner: Any) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(owner) if not field.metadata.get("constant")]


def _loaded_fields(present: Any, state: Mapping[str, Any], device: torch.device | str) -> dict[str, Any]:
    names = [field.name for field in _kept_fields(present)]
    if set(names) != set(state):
        expected, found = ", ".join(names), ", ".join(state)
        raise KeyError(f"state of {type(present).__name__}: found {found}; expected {expected}")
    return {name: loaded(getattr(present, name), state[name], device) for name in names}
