"""Devices that a run can use. `devices` imports torch, so call it in a worker's thread."""

from __future__ import annotations


def devices() -> list[tuple[str, str]]:
    """List the devices: text for the user and name in the settings, `auto` first."""
    import torch

    found = [("CPU", "cpu")]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(number)
        name = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        found.append((f"{name} (cuda:{number})", f"cuda:{number}"))
    if torch.backends.mps.is_available():
        found.append(("Apple GPU (mps)", "mps"))
    # The engine chooses the same: the first NVIDIA card where there is one.
    automatic = found[1][0] if torch.cuda.is_available() else "CPU"
    return [(f"automatic: {automatic}", "auto"), *found]
