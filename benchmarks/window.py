"""How the window keeps up with a run: delay of a 10 ms timer, snapshot to screen, docks, what watching costs.

    xvfb-run -a -s '-screen 0 1600x1000x24' .venv/bin/python benchmarks/window.py particles.star --out results.json

Opens the real window with all panels, drives a run (quick preset, switch by hand) in its background thread, and then
the same run once in a process that nobody watches, once in one that the window watches.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as the command line does

import numpy as np
import pyqtgraph
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtWidgets import QApplication

SIZE = (1600, 1000)
MAP_LAYER = "cryoSPIN map"


class PaintClock:
    """Seconds spent in painting our plots and OpenGL canvases, software rendering included."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.depth = 0
        self.canvas_drawn = 0.0  # when an OpenGL canvas was last drawn
        backend = sys.modules["vispy.app.backends._qt"].CanvasBackendDesktop  # there once napari's canvas is
        backend.paintGL = self._timed(backend.paintGL, canvas=True)
        pyqtgraph.GraphicsView.paintEvent = self._timed(pyqtgraph.GraphicsView.paintEvent)

    def _timed(self, paint: Callable, canvas: bool = False) -> Callable:
        def timed(*args, **keywords):
            began = time.perf_counter()
            self.depth += 1
            try:
                return paint(*args, **keywords)
            finally:
                self.depth -= 1
                if self.depth == 0:
                    self.spent += time.perf_counter() - began
                if canvas:
                    self.canvas_drawn = time.time()

        return timed


class Ticks:
    """A timer of 10 ms: how late each tick came, with and without the painting in between."""

    def __init__(self, clock: PaintClock) -> None:
        self.clock = clock
        self.late: list[float] = []
        self.painting: list[float] = []
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self.tick)
        self.last, self.painted = time.perf_counter(), clock.spent
        self.timer.start(10)

    def tick(self) -> None:
        now = time.perf_counter()
        painted = self.clock.spent - self.painted
        self.late.append(max(0.0, now - self.last - 0.010 - painted))
        self.painting.append(painted)
        self.last, self.painted = time.perf_counter(), self.clock.spent

    def report(self) -> dict[str, float]:
        self.timer.stop()
        late, painting = np.array(self.late) * 1e3, np.array(self.painting) * 1e3
        shown = painting[painting > 0]
        return {
            "ticks": len(late),
            "delay_p50_ms": float(np.percentile(late, 50)),
            "delay_p99_ms": float(np.percentile(late, 99)),
            "delay_max_ms": float(late.max()),
            "paint_p50_ms": float(np.percentile(shown, 50)) if len(shown) else 0.0,
            "paint_p99_ms": float(np.percentile(shown, 99)) if len(shown) else 0.0,
            "paint_share": float(painting.sum() / (late.sum() + painting.sum() + 10 * len(late))),
        }


def wait(seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
    """Let the window live, in Qt's own loop, for so long or until something is true: whether it became so."""
    loop, end, look = QEventLoop(), QTimer(), QTimer()
    end.setSingleShot(True)
    end.timeout.connect(loop.quit)
    end.start(int(1000 * seconds))
    look.timeout.connect(lambda: until() and loop.quit())
    look.start(100)
    loop.exec()
    return until()


class Shown:
    """When each snapshot was on the screen after it was written."""

    def __init__(self, session, viewer, clock: PaintClock) -> None:
        self.session, self.viewer, self.clock = session, viewer, clock
        self.delays: list[float] = []
        self.written: float | None = None
        self.changed: float | None = None
        session.snapshot_arrived.connect(self.arrived)
        self.timer = QTimer()
        self.timer.timeout.connect(self.look)
        self.timer.start(20)
        self.layer = None

    def arrived(self, snapshot) -> None:
        path = self.session.folder.path / "snapshots" / f"{snapshot.step:09d}.npz"
        self.written, self.changed = path.stat().st_mtime, None

    def look(self) -> None:
        layer = next((layer for layer in self.viewer.layers if layer.name == MAP_LAYER), None)
        if layer is not self.layer:
            self.layer = layer
            if layer is not None:
                layer.events.set_data.connect(self.new_data)
                self.new_data()
        if self.written and self.changed and self.clock.canvas_drawn > self.changed:
            self.delays.append(self.clock.canvas_drawn - self.written)
            self.written = self.changed = None

    def new_data(self, _=None) -> None:
        self.changed = time.time()


def settings_for(epochs: int):
    from napari_cryospin.settings import PRESETS

    quick = PRESETS["quick"]
    schedule = replace(quick.schedule, switch="by-hand", epochs=epochs, decoding_epochs=None)
    encoder = replace(quick.encoder, shifts=False)
    return replace(quick, schedule=schedule, encoder=encoder, machine=replace(quick.machine, snapshot_every=2.0))


def alone(particles: Path, folder: Path, epochs: int, watch=None) -> float:
    """Seconds that the run reports for itself, in a process of its own; with `watch` the window watches it."""
    from napari_cryospin.runs.folder import RunFolder
    from napari_cryospin.runs.launch import start_process
    from napari_cryospin.runs.source import RunInput

    run = RunFolder.create(folder, RunInput(particles=particles), settings_for(epochs))
    process = start_process(run)
    if watch is not None:
        watch(run)
        wait(600, lambda: process.poll() is not None)
    else:
        process.wait()
    return run.read_status().elapsed


def closed_in_mid_run(viewer, session, run) -> float:
    """Seconds that closing the window takes while its thread drives a run, which is saved and ended."""
    session.start(run)
    wait(120, lambda: session.status is not None and session.status.epoch >= 1)
    thread, began = session.thread_of_run, time.perf_counter()
    viewer.close()
    thread.join()
    took = time.perf_counter() - began
    assert run.newest_checkpoint() is not None
    assert run.read_status().state == "stopped"
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("particles", type=Path, help=".star, 64 px")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the timer is watched")
    parser.add_argument("--epochs", type=int, default=12, help="of the runs whose times are compared; 0: not compared")
    parser.add_argument("--out", type=Path, default=Path("window.json"))
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="cryospin-window-"))
    results: dict[str, object] = {}

    import napari

    from napari_cryospin.io.open import open_particles
    from napari_cryospin.runs.folder import RunFolder
    from napari_cryospin.runs.source import RunInput
    from napari_cryospin.widgets.session.session import session_of

    viewer = napari.Viewer()
    wait(0.2)  # the window exists, but for its first paint
    viewer.window.resize(*SIZE)
    wait(2.0)
    clock = PaintClock()
    began = time.perf_counter()
    viewer.window.add_plugin_dock_widget("napari-cryospin", "cryoSPIN workspace")
    QApplication.processEvents()
    results["docks_open_s"] = time.perf_counter() - began
    results["torch_at_opening"] = "torch" in sys.modules
    wait(2.0)

    session = session_of(viewer)
    shown = Shown(session, viewer, clock)
    source = RunInput(particles=options.particles)
    session.set_particles(open_particles(options.particles), source)
    run = RunFolder.create(work / "thread", source, settings_for(1000))
    session.start(run)
    if not wait(120, lambda: session.snapshot is not None):
        raise SystemExit("no snapshot within two minutes")
    wait(5.0)
    ticks = Ticks(clock)
    first = len(shown.delays)
    wait(options.seconds)
    results |= ticks.report()
    delays = np.array(shown.delays[first:])
    results["snapshots_shown"] = len(delays)
    if len(delays):
        results |= {
            "snapshot_to_screen_p50_s": float(np.median(delays)),
            "snapshot_to_screen_max_s": float(delays.max()),
        }
    began = time.perf_counter()
    session.send("stop")
    wait(60, lambda: not session.driven_here)
    results["stop_s"] = time.perf_counter() - began

    if options.epochs:
        watched = alone(options.particles, work / "watched", options.epochs, session.watch)
    results["close_s"] = closed_in_mid_run(
        viewer, session, RunFolder.create(work / "closed", source, settings_for(1000))
    )
    if options.epochs:
        unwatched = alone(options.particles, work / "unwatched", options.epochs)
        results |= {"run_watched_s": watched, "run_unwatched_s": unwatched, "slowed_by": watched / unwatched - 1}
    options.out.write_text(json.dumps(results, indent=2))
    print(json.dumps(results, indent=2))
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
