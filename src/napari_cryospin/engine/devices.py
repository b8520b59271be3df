"""Devices by name."""

from __future__ import annotations

import torch


def choose_devices(name: str, count: int) -> list[torch.device]:
    """A device for each of the parts that a run reconstructs.

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
    there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    if name not in there and not (name == "cuda" and "cuda:0" in there):
        raise ValueError(f"device {name!r} cannot be used; found here: {', '.join(there)}")
    return torch.device(name)
