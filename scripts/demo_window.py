"""The demo in napari's window: see scripts/demo."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import napari
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_cryospin.cli.console import print_line, progress_text
from napari_cryospin.cli.demo import DEMO_IMAGES, report_demo, simulate_demo
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS
from napari_cryospin.simulation.images import SimulationSettings
from napari_cryospin.widgets.session.session import Session, session_of
from napari_cryospin.widgets.workspace import open_workspace
from take_screenshots import Tour

SIZE = (1600, 1000)
TELL_EVERY = 5000  # ms


def start(session: Session, particles: Path, truth: Path, folder: Path, by_hand: bool) -> None:
    """Load the particles, and start a run of them in the window's background thread."""
    source = RunInput(particles=particles)
    session.set_particles(open_particles(particles), source, truth)
    quick = PRESETS["quick"]
    schedule = dataclasses.replace(quick.schedule, switch="by-hand" if by_hand else "automatic")
    session.start(RunFolder.create(folder, source, dataclasses.replace(quick, schedule=schedule)))


def unattended(session: Session, tour: Tour) -> None:
    """Wait for the end, and take pictures on the way."""

    def state() -> tuple[str, str]:
        return (session.status.state, session.status.stage) if session.status is not None else ("", "")

    def tell() -> None:
        status = session.status
        if status is not None and status.state == "running":
            print_line(f"{status.stage}, epoch {status.epoch}/{status.epochs}, {progress_text(status)}")

    telling = QTimer()
    telling.timeout.connect(tell)
    telling.start(TELL_EVERY)
    tour.tab("Run")
    tour.wait(lambda: len(session.epochs) >= 3)
    tour.take("1_auto_encoding")
    tour.wait(lambda: state()[1] == "auto-decoding", then=3)
    tour.take("2_auto_decoding")
    tour.wait(lambda: state()[0] in ("finished", "failed") and not session.driven_here, then=4)
    tour.take("3_finished")
    tour.viewer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="The demo in napari's window.")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for all that is written")
    parser.add_argument("--count", type=int, default=DEMO_IMAGES, help="images to simulate")
    parser.add_argument("--unattended", action="store_true", help="switch, take pictures and end without anybody")
    options = parser.parse_args()
    began = time.monotonic()
    files = simulate_demo(options.output, SimulationSettings(count=options.count))
    folder = options.output / "run"
    if options.unattended:
        tour = Tour(options.output, options.output, SIZE, "dark")
        start(tour.session, files.particles, files.truth, folder, by_hand=False)
        unattended(tour.session, tour)
        return report_demo(RunFolder(folder), files, began)
    viewer = napari.Viewer()
    screen = QApplication.primaryScreen()
    if screen is not None:
        area = screen.availableGeometry()
        viewer.window.resize(min(SIZE[0], area.width()), min(SIZE[1], area.height()))
    open_workspace(viewer).setCurrentIndex(1)  # the tab Run
    start(session_of(viewer), files.particles, files.truth, folder, by_hand=True)
    napari.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
