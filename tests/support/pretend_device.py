"""A device that computes on the CPU, refuses what CUDA refuses, and counts how often the host waits for it.

Torch reserves one device type, PrivateUse1, for backends from outside, and lets such a backend be written in Python.
Its tensors are wrappers: they say that they lie on `pretend:0` or `pretend:1` and hold a CPU tensor, on which every
operation is carried out. What is computed is therefore, bit for bit, what the CPU computes with the same arguments.

Refused are, as by CUDA:

* tensors of two devices in one operation; a CPU tensor without dimensions counts as a number, and a tensor of the
  device may be indexed by CPU tensors;
* NumPy arrays of tensors of the device;
* random numbers on the device from a generator of the CPU.

Counted are, by source line, operations after which the host knows something that only the device knew (`Traffic.waits`)
and copies from the host to the device (`Traffic.uploads`).
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
DEVICES = 2
"""Number of pretend devices: two, one for each of two half sets."""
OWN_FILES = (str(Path(torch.__file__).parent), __file__)
"""Places of source files whose lines are never counted: who called them is."""

aten = torch.ops.aten
FACTORIES = (
    aten.empty.memory_format,
    aten.empty_strided.default,
    aten.arange.default,
    aten.arange.start,
    aten.arange.start_step,
    aten.eye.default,
    aten.eye.m,
)
"""Functions that torch calls to make a tensor from nothing; all others (zeros, full, rand) are made of these."""
INDEXING = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
WAITING = {
    aten._local_scalar_dense.default: "item",
    aten.nonzero.default: "nonzero",
    aten.masked_select.default: "mask",
    aten.equal.default: "equal",
    aten.bincount.default: "bincount",
    aten._unique2.default: "unique",
    aten.repeat_interleave.Tensor: "repeat_interleave",
    aten._linalg_check_errors.default: "linalg check",
}
"""Operations whose result, or its shape, is known to the host: CUDA waits until all work before them is done."""
EAGER = {aten._conj.default: aten.conj_physical.default, aten._neg_view.default: aten.neg.default}
"""What torch puts off by marking a tensor as conjugate or negative, and what is done here at once: torch strips the
mark from a wrapper before the held tensor is seen."""
NO_NUMBERS = (aten.cat.default, aten.stack.default)
"""Operations that accept no CPU tensor without dimensions beside tensors of the device."""


@dataclass
class Traffic:
    """How often host and device met: `(kind, place)` to a number of times; a place is `file.py:line`."""

    waits: Counter[tuple[str, str]] = field(default_factory=Counter)
    uploads: Counter[tuple[str, str]] = field(default_factory=Counter)

    def report(self) -> str:
        """List what was counted, the most frequent lines first."""
        lines = [
            f"{count:5} {name}: {kind} at {place}"
            for name, counts in (("wait", self.waits), ("upload", self.uploads))
            for (kind, place), count in counts.most_common()
        ]
        return "\n".join(lines)


_watchers: list[Traffic] = []


@contextmanager
def counted() -> Iterator[Traffic]:
    """Count what host and device say to each other within the block."""
    traffic = Traffic()
    _watchers.append(traffic)
    try:
        yield traffic
    finally:
        _watchers.remove(traffic)


def _count(name: str, kind: str) -> None:
    for traffic in _watchers:
        getattr(traffic, name)[kind, _place()] += 1


def _place() -> str:
    """Find the line of the innermost frame outside torch and this file."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OWN_FILES):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


class PretendTensor(torch.Tensor):
    """A tensor that says that it lies on a pretend device; `raw` holds its values on the CPU."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor, device: torch.device) -> PretendTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.shape,
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            layout=raw.layout,
            device=torch.device(NAME, device.index or 0),
        )
        made.raw = raw
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _run(function, args, kwargs or {})

    def numpy(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"can't convert {self.device} device type tensor to numpy: copy it to the host with .cpu()")

    __array__ = numpy

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Save the values as those of a CPU tensor: what `torch.load(..., map_location="cpu")` makes of any device."""
        return self.cpu().__reduce_ex__(protocol)

    def __repr__(self, **kwargs: Any) -> str:
        return f"{self.raw!r} on {self.device}"


def _run(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Carry out an operation on the CPU, if CUDA would carry it out on its device."""
    function = EAGER.get(function, function)
    leaves, structure = tree_flatten((args, kwargs))
    ours = [leaf for leaf in leaves if isinstance(leaf, PretendTensor)]
    if kwargs.get("generator") is not None:
        raise RuntimeError(f"{function}: expected a '{NAME}' device type for generator but found 'cpu'")
    if function is aten.copy_.default:
        return _copy(*args[:2])
    if function in INDEXING:
        _check_indices(*args)
    else:
        _check_devices(function, leaves)
    if function in WAITING:
        _count("waits", WAITING[function])
    device = torch.device(kwargs.get("device") or ours[0].device)
    if function is aten._to_copy.default and device.type == "cpu":
        _count("waits", "to host")
    raw_args, raw_kwargs = tree_unflatten(map(_raw, leaves), structure)
    if kwargs.get("device") is not None:
        raw_kwargs["device"] = "cpu"
    result = function(*raw_args, **raw_kwargs)
    if device.type == "cpu":
        return result
    changed = {id(tensor.raw): tensor for tensor in ours}  # in place, where it is the result: it keeps its wrapper

    def wrapped(raw: torch.Tensor) -> torch.Tensor:
        return changed[id(raw)] if id(raw) in changed else PretendTensor(raw, device)

    return wrapped(result) if isinstance(result, torch.Tensor) else tree_map_only(torch.Tensor, wrapped, result)


def _raw(value: Any) -> Any:
    return value.raw if isinstance(value, PretendTensor) else value


def _copy(target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Copy values into a tensor in place, between any two devices."""
    if not isinstance(target, PretendTensor):
        _count("waits", "to host")
    elif not isinstance(source, PretendTensor):
        _count("uploads", "to device")
    _raw(target).copy_(_raw(source))
    return target


def _copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    """Copy values as `torch.tensor(..., device=...)` does, which leaves out `__torch_dispatch__`."""
    return _copy(target, source)


def _check_devices(function: Any, values: list[Any]) -> None:
    """Refuse tensors of two devices, where the one is not a number."""
    numbers = function not in NO_NUMBERS
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    found = {str(one.device) for one in tensors if isinstance(one, PretendTensor) or one.dim() or not numbers}
    if len(found) > 1:
        raise RuntimeError(f"{function}: expected all tensors to be on the same device, found {sorted(found)}")


def _check_indices(indexed: torch.Tensor, indices: Any, values: Any = None, *rest: Any) -> None:
    """Refuse indices of another device (but of the CPU, where a tensor of the device is indexed), and such values."""
    given = [index for index in indices if index is not None]
    wrong = [index for index in given if index.device not in (indexed.device, torch.device("cpu"))]
    if wrong:
        raise RuntimeError(
            f"indices should be either on cpu or on the same device as the indexed tensor ({indexed.device}), "
            f"found {wrong[0].device}"
        )
    if values is not None:
        _check_devices(aten.index_put_.default, [indexed, values])
    single = values is not None and values.numel() == 1  # such a value is filled in, without looking for its places
    if not single and any(index.dtype in (torch.bool, torch.uint8) for index in given):
        _count("waits", "mask")
    for index in given:
        if index.device != indexed.device:
            _count("uploads", "index")


class _Module:
    """What torch asks of `torch.pretend`."""

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def device_count() -> int:
        return DEVICES

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def _is_in_bad_fork() -> bool:
        return False

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        """Do nothing: there is no generator on the device."""


@functools.cache
def _register() -> torch.library.Library:
    """Make the device known to torch, for the rest of the process."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    library = torch.library.Library("aten", "IMPL")
    for function in FACTORIES:
        library.impl(function, _factory(function), "PrivateUse1")
    library.impl(aten._copy_from.default, _copy_from, "PrivateUse1")
    return library


def _factory(function: Any) -> Callable[..., PretendTensor]:
    def make(*args: Any, device: torch.device, pin_memory: bool | None = None, **kwargs: Any) -> PretendTensor:
        return PretendTensor(function(*args, device="cpu", **kwargs), device)

    return make


@pytest.fixture
def pretend_device() -> Iterator[str]:
    """Name of a pretend device; the second one is `pretend:1`."""
    _register()
    # Torch counts devices, for the threads of its backward passes, at the first such pass of a process.
    with torch.autograd.set_multithreading_enabled(False):
        yield f"{NAME}:0"
