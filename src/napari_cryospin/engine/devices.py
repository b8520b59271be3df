"""Choice of devices by name."""

from __future__ import annotations

from typing import Any

import torch


def choose_devices(name: str, count: int) -> list[torch.device]:
    """Choose a device for each of the parts that a run reconstructs.

    Parameters
    ----------
    name
        "auto", a device, or several separated by commas, which the parts take in turn.
    count
        Number of parts: 2 with half sets. "auto" gives each part its own GPU if there are as many.

    Raises
    ------
    ValueError
        A device does not exist.
    """
    if name == "auto" and 1 < count <= torch.cuda.device_count():
        return [torch.device("cuda", index) for index in range(count)]
    devices = [choose_device(part.strip()) for part in name.split(",")]
    if len(devices) > 2:
        raise ValueError(f"device {name!r}: found {len(devices)}; expected one, or two for the two half sets")
    return [devices[index % len(devices)] for index in range(count)]


def choose_device(name: str) -> torch.device:
    """Choose a device by name; "auto" takes a GPU if there is one.

    Raises
    ------
    ValueError
        The device does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = _known(name)
    if device is None:
        raise ValueError(f"device {name!r} cannot be used; found here: {', '.join(_found())}")
    return device


def _known(name: str) -> torch.device | None:
    """Look up a device that torch knows and that exists, also one of a backend that an extension of torch added."""
    try:
        device = torch.device(name)
    except RuntimeError:
        return None
    backend: Any = getattr(torch, device.type, None)  # torch.cpu, torch.cuda, torch.mps, torch.xpu ...
    count = backend.device_count() if hasattr(backend, "device_count") else 0
    return device if (device.index or 0) < count else None


def _found() -> list[str]:
    """Return the names of the existing devices of the usual kinds."""
    kinds = {kind: getattr(torch, kind).device_count() for kind in ("cuda", "mps", "xpu") if _known(kind)}
    return ["cpu", *(f"{kind}:{index}" for kind, count in kinds.items() for index in range(count))]
