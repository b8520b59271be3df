"""Commands of the workspace in napari's command palette; each opens the workspace first where it is not open."""

from __future__ import annotations


def choose_particles() -> None:
    """Let the user choose particles."""
    _act("particles")


def watch_run() -> None:
    """Let the user choose a run to watch."""
    _act("watch")


def start_run() -> None:
    """Start a run of the particles that are open."""
    _act("start")


def pause_run() -> None:
    """Let the run wait after the present step, or go on."""
    _act("pause")


def stop_run() -> None:
    """Stop the run, with a checkpoint and results."""
    _act("stop")


def switch_run() -> None:
    """Switch to auto-decoding, after a question."""
    _act("switch")


def export_results() -> None:
    """Bring the panel of exports."""
    _act("export")


def reset_settings() -> None:
    """Reset the settings of the next run, after a question."""
    _act("reset")


def _act(name: str) -> None:
    from napari import current_viewer

    from napari_cryospin.widgets.workspace import open_workspace

    viewer = current_viewer()
    if viewer is not None:
        open_workspace(viewer).shortcuts.act(name)
