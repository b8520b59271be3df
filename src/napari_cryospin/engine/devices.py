"""Devices by name."""

from __future__ import annotations

from typing import Any

import torch


def choose_devices(name: str, count: int) -> list[torch.device]:
    """Choose a device for each of the parts that a run reconstructs.

    Parameters
    ----------
    name
        "auto", a device, or several with commas between: the parts take them in turn.
    count
        Number of parts: 2 with half sets. "auto" gives each a GPU of its own where there are that many.

    Raises
    ------
    ValueError
        A device is not there.
    """
    if name == "auto" and 1 < count <= torch.cuda.device_count():
        return [torch.device("cuda", index) for index in range(count)]
    devices = [choose_device(part.strip()) for part in name.split(",")]
    if len(devices) > 2:
        raise ValueError(f"device {name!r}: found {len(devices)}; expected one, or two for the two half sets")
    return [devices[index % len(devices)] for index in range(count)]


def choose_device(name: str) -> torch.device:
    """Device by name; "auto" takes a GPU where there is one.

    Raises
    ------
    ValueError
        The device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = _known(name)
    if device is None:
        raise ValueError(f"device {name!r} cannot be used; found here: {', '.join(_found())}")
    return device


def _known(name: str) -> torch.device | None:
    """Look up a device among those that torch knows and that are there: also such as a backend of its own added."""
    try:
        device = torch.device(name)
    except RuntimeError:
        return None
    backend: Any = getattr(torch, device.type, None)  # torch.cpu, torch.cuda, torch.mps, torch.xpu ...
    count = backend.device_count() if hasattr(backend, "device_count") else 0
    return device if (device.index or 0) < count else None


def _found() -> list[str]:
    """Names of the devices that are there, of the usual kinds."""
    kinds = {kind: getattr(torch, kind).device_count() for kind in ("cuda", "mps", "xpu") if _known(kind)}
    return ["cpu", *(f"{kind}:{index}" for kind, count in kinds.items() for index in range(count))]
