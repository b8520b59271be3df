"""Times of the posterior panel in a real window: particle chosen -> posterior drawn, on one map and first on a new one.

python benchmarks/window_posterior.py RUN_FOLDER [--particles 30] [--threads 2]     (without a screen: under xvfb-run)

Wall times are of use only on an idle machine; the processor's times tell what was computed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.widgets.posterior.panel import PosteriorPanel
from napari_cryospin.widgets.session.session import session_of

PATIENCE = 60.0  # s


class Stage:
    """A window with the panel, watching a run."""

    def __init__(self, run: Path) -> None:
        self.viewer = napari.Viewer(show=True)
        self.session = session_of(self.viewer)
        self.panel = PosteriorPanel(self.viewer)
        self.viewer.window.add_dock_widget(self.panel, area="right")
        self.old: object = None  # what was looked at before
        self.drawn: tuple[float, float] | None = None  # wall and processor seconds when the next one was first drawn
        self.panel.views.sphere.canvas.events.draw.connect(self._note)
        self.session.watch(RunFolder(run))
        self.wait(self._complete)

    def _note(self, _: object) -> None:
        if self.drawn is None and self.panel.posterior is not self.old:
            self.drawn = time.perf_counter(), time.process_time()

    def _complete(self) -> bool:
        return self.panel.posterior is not None and self.panel.posterior.detail is not None

    def wait(self, ready: Callable[[], bool]) -> None:
        """Let the window work until something is so."""
        end = time.monotonic() + PATIENCE
        while not ready():
            QApplication.processEvents()
            time.sleep(0.001)
            if time.monotonic() > end:
                raise TimeoutError("the panel did not answer")

    def timed(self, act: Callable[[], object]) -> tuple[float, float, float]:
        """Wall and processor seconds from an act to its posterior drawn; wall seconds to the candidates."""
        self.old, self.drawn = self.panel.posterior, None
        wall, processor = time.perf_counter(), time.process_time()
        act()
        self.wait(lambda: self.drawn is not None)
        assert self.drawn is not None
        self.wait(self._complete)
        return self.drawn[0] - wall, self.drawn[1] - processor, time.perf_counter() - wall


def told(title: str, times: list[tuple[float, float, float]]) -> None:
    """Print medians and the largest."""
    walls, processors, details = zip(*times, strict=True)
    print(
        f"{title}: drawn after {1e3 * statistics.median(walls):.0f} ms (median; at most {1e3 * max(walls):.0f}), "
        f"processor {1e3 * statistics.median(processors):.0f} ms; "
        f"zoom and candidates after {1e3 * statistics.median(details):.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--particles", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    began = time.perf_counter()
    stage = Stage(options.run)
    print(f"window, engine loaded and first particle complete: {time.perf_counter() - began:.1f} s")
    import torch

    torch.set_num_threads(options.threads)
    session = stage.session
    assert session.snapshot is not None
    rows = session.snapshot.particles.rows
    others = rows[rows != session.particle]
    rows = np.random.default_rng(0).choice(others, options.particles, replace=False)
    told("same map", [stage.timed(lambda row=row: session.choose_particle(int(row))) for row in rows])  # type: ignore[misc]
    epochs = [*session.epochs[-5:], None]
    told("another map", [stage.timed(lambda epoch=epoch: session.show_epoch(epoch)) for epoch in epochs])  # type: ignore[misc]
    stage.viewer.close()


if __name__ == "__main__":
    main()
