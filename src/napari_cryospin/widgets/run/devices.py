"""Devices that a run can use. Imports torch: call it in a worker."""

from __future__ import annotations


def devices() -> list[tuple[str, str]]:
    """What to show and what the settings call it, `auto` first."""
    import torch

    found = [("CPU", "cpu")]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(number)
        name = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        found.append((f"{name} (cuda:{number})", f"cuda:{number}"))
    if torch.backends.mps.is_available():
        found.append(("Apple GPU (mps)", "mps"))
    # As the engine chooses: the first NVIDIA card where there is one.
    automatic = found[1][0] if torch.cuda.is_available() else "CPU"
    return [(f"automatic: {automatic}", "auto"), *found]
