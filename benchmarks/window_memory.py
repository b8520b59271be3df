"""Memory of the window over many updates of the map: it must stay as it is.

    xvfb-run -a -s '-screen 0 1600x1000x24' python benchmarks/window_memory.py RUN [--snapshots 1000]

Opens the real window with all panels on a copy of a finished run (64 px, say; about five minutes), writes one snapshot
after the other into it, each when the one before is drawn, and prints the resident memory. Every snapshot has a map and
poses of its own; after every tenth an epoch's history is shown, and the level is changed, as a user would.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import shutil
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
import psutil
from qtpy.QtWidgets import QApplication

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.widgets.live_map.layers import live_map_of
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import open_workspace

WARM = 100  # updates after which everything that is made once has been made
PATIENCE = 30.0  # s


def wait(until, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise TimeoutError("the window did not draw in time")
        QApplication.processEvents()
        time.sleep(0.002)


def mebibytes() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def feed(folder: RunFolder, viewer: napari.Viewer, count: int) -> list[float]:
    """Write snapshots, have them drawn, and measure: MiB after every fiftieth."""
    live, session = live_map_of(viewer), session_of(viewer)
    first, random, measured = session.snapshot, np.random.default_rng(0), []
    spread = 0.1 * first.map.std()
    for number in range(1, count + 1):
        noise = random.normal(0, spread, first.map.shape).astype(np.float32)
        turned = first.rotations[random.permutation(len(first.rotations))]
        new = dataclasses.replace(first, step=first.step + number, map=first.map * (1 + number / count) + noise)
        folder.write_snapshot(dataclasses.replace(new, rotations=turned))
        wait(lambda step=new.step: live.picture.source.snapshot is not None and session.snapshot.step == step)
        wait(lambda step=new.step: live.picture.source.snapshot.step == step)
        if number % 10 == 0:
            epoch = session.epochs[number // 10 % len(session.epochs)]
            session.show_epoch(epoch)
            wait(lambda epoch=epoch: live.picture.source.epoch == epoch)
            session.show_epoch(None)
            live.set_display(level=None if number % 20 else 4 + 3 * random.random())
            wait(lambda: live.picture.source.epoch is None)
        if number % 50 == 0:
            measured.append(mebibytes())
            print(f"{number:5d} updates: {measured[-1]:.0f} MiB", flush=True)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--snapshots", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(shutil.copytree(options.run, Path(place) / "run")))
        folder.write_status(dataclasses.replace(folder.read_status(), state="running"))
        viewer = napari.Viewer()
        open_workspace(viewer)
        live = live_map_of(viewer)
        session_of(viewer).watch(folder)
        wait(lambda: live.picture is not None)
        measured = feed(folder, viewer, options.snapshots)
        viewer.close()
    # Medians: now and then a posterior is being computed at that moment.
    warm = measured[min(len(measured), WARM // 50) - 1 :]
    before, after = np.median(warm[:5]), np.median(warm[-5:])
    growth = 100 * (after / before - 1)
    print(f"from {before:.0f} MiB after {WARM} updates to {after:.0f}: {growth:+.1f} %, at most {max(warm):.0f} MiB")
    if options.out:
        figures = {"mebibytes": measured, "every": 50, "growth_percent": growth}
        options.out.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
