"""Readers of particles and of runs for napari, which open both in the workspace where there is a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cryospin.widgets.contributions.map_reader import as_paths, is_map

if TYPE_CHECKING:
    from napari.types import LayerData

Reader = Callable[[str | Sequence[str]], "list[LayerData]"]
NO_LAYERS: list[Any] = [(None,)]
"""Answer of a reader by which napari adds no layer."""


def particle_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the function that opens particles, or None where one of the files is a map."""
    paths = as_paths(path)
    return None if any(one.suffix.lower() == ".mrc" and is_map(one) for one in paths) else show_particles


def show_particles(path: str | Sequence[str]) -> list[LayerData]:
    """Open particles in the workspace, which adds them as a layer too; without a window, return the layer."""
    from napari import current_viewer

    from napari_cryospin.widgets.particles.inputs import open_source, source_of
    from napari_cryospin.widgets.particles.stack_layer import stack_layer
    from napari_cryospin.widgets.session.docks import reveal

    viewer = current_viewer()
    if viewer is None:
        return [stack_layer(open_source(source_of(as_paths(path))).particles)]
    panel: Any = reveal(viewer, "Particles")
    panel.open_files(as_paths(path), with_layer=True)
    return NO_LAYERS


def run_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the function that shows a run, or None where the folder holds none."""
    (folder, *others) = as_paths(path)
    return show_run if not others and (folder / "input.json").is_file() else None


def show_run(path: str | Sequence[str]) -> list[LayerData]:
    """Show a run in the workspace; without a window, return the map of its results."""
    from napari import current_viewer

    from napari_cryospin.widgets.contributions.map_reader import map_layer
    from napari_cryospin.widgets.session.docks import reveal

    (folder,) = as_paths(path)
    viewer = current_viewer()
    if viewer is None:
        return [map_layer(Path(folder) / "results" / "map.mrc")]
    panel: Any = reveal(viewer, "Run")
    panel.control.attach(folder)
    return NO_LAYERS
