"""Ab-initio cryo-EM reconstruction with cryoSPIN, live in napari.

`import napari_cryospin as spin` is quick, because torch and the readers of files are loaded when a function first needs
them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_cryospin.api import export, find_symmetry, reconstruct, resume, simulate, view
    from napari_cryospin.engine.reconstruction import Reconstruction
    from napari_cryospin.io.open import open_particles as open
    from napari_cryospin.particles import CtfParameters, Particles
    from napari_cryospin.runs.epoch_summary import EpochSummary
    from napari_cryospin.settings import PRESETS, Settings, settings_from
    from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
    from napari_cryospin.views.run_view import RunView

    __version__: str

__all__ = [
    "PRESETS",
    "SAMPLE_MAPS",
    "CtfParameters",
    "EpochSummary",
    "Particles",
    "Reconstruction",
    "RunView",
    "Settings",
    "__version__",
    "export",
    "find_symmetry",
    "open",
    "reconstruct",
    "resume",
    "settings_from",
    "simulate",
    "view",
]

_HOMES = {
    "PRESETS": "settings",
    "SAMPLE_MAPS": "simulation.sample_maps",
    "CtfParameters": "particles",
    "EpochSummary": "runs.epoch_summary",
    "Particles": "particles",
    "Reconstruction": "engine.reconstruction",
    "RunView": "views.run_view",
    "Settings": "settings",
    "export": "api",
    "find_symmetry": "api",
    "open": "io.open",
    "reconstruct": "api",
    "resume": "api",
    "settings_from": "settings",
    "simulate": "api",
    "view": "api",
}
"""Public name -> module that is imported when the name is first used."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("napari-cryospin")
    elif name in _HOMES:
        module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
        value = getattr(module, "open_particles" if name == "open" else name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # From here on Python finds the name without this function.
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
