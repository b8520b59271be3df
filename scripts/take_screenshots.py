"""Drive the real window through a first reconstruction, and take a picture at each stage: see scripts/screenshots."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QSettings
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QApplication, QMainWindow, QMenu, QScrollArea

from napari_cryospin.geometry.sphere_cells import healpix_cells
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Stage
from napari_cryospin.settings import PRESETS, Settings
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
from napari_cryospin.widgets.bottom_row import BottomRow
from napari_cryospin.widgets.charts.convergence import ConvergencePanel
from napari_cryospin.widgets.charts.orientations import OrientationsPanel
from napari_cryospin.widgets.charts.two_runs import TwoRunsPanel
from napari_cryospin.widgets.export.panel import ExportPanel
from napari_cryospin.widgets.kit.parts import Fold
from napari_cryospin.widgets.live_map.ghost_maps import ghosts_of
from napari_cryospin.widgets.live_map.layers import live_map_of
from napari_cryospin.widgets.particles.panel import ParticlesPanel
from napari_cryospin.widgets.posterior.panel import PosteriorPanel
from napari_cryospin.widgets.posterior.wall_panel import WallPanel
from napari_cryospin.widgets.result.panel import ResultPanel
from napari_cryospin.widgets.run.panel import RunPanel
from napari_cryospin.widgets.selection.panel import SELECTED_MAP, SelectionPanel
from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.sphere.views import VIEW_TIPS
from napari_cryospin.widgets.workspace import open_workspace

log = logging.getLogger("screenshots")

LONGEST = 3600  # s that the script waits for anything
GROWN = 10  # epochs after which all shells that the posterior wants are looked at
LOOKED_AT = 10  # uncertain particles, until one has two modes
LARGEST = 500_000  # bytes of a picture, before its colours are made fewer


class Tour:
    """A window, and what is done in it.

    Parameters
    ----------
    out
        Folder of the pictures.
    work
        Folder for the run.
    size
        Pixels of the window.
    theme
        napari's.
    scale
        Pixels of the screen for each pixel of the window, along a side.
    """

    def __init__(self, out: Path, work: Path, size: tuple[int, int], theme: str, scale: int = 1) -> None:
        self.out, self.work, self.size = out, work, (scale * size[0], scale * size[1])
        self.viewer = napari.Viewer()
        self.viewer.theme = theme
        self.viewer.window.set_geometry(0, 0, *size)
        self.session = session_of(self.viewer)
        menu_action("cryoSPIN workspace").trigger()
        self.wait(lambda: self.bottom() is not None)
        self.workspace = open_workspace(self.viewer)  # The one that the menu has opened.

    def bottom(self) -> BottomRow | None:
        rows = [widget for widget in QApplication.allWidgets() if isinstance(widget, BottomRow)]
        return rows[0] if rows else None

    def tab(self, title: str) -> None:
        """Bring a panel to the front, in the column on the right or beneath the map."""
        bottom = self.bottom()
        assert bottom is not None
        if self.workspace.index_of(title) >= 0:
            self.workspace.setCurrentIndex(self.workspace.index_of(title))
        else:
            bottom.fold.setChecked(False)
            bottom.tabs.setCurrentIndex(bottom.tabs.index_of(title))

    def panel(self, kind: type) -> object:
        """The panel of a kind; made if it has not been seen yet."""
        found = [widget for widget in QApplication.allWidgets() if isinstance(widget, kind)]
        return found[0]

    def wait(self, condition: Callable[[], bool], then: float = 0.0) -> None:
        """Let the window live until something is so, and some seconds longer."""
        end = time.monotonic() + LONGEST
        while not condition():
            QApplication.processEvents()
            time.sleep(0.01)
            if time.monotonic() > end:
                raise TimeoutError("waited in vain; a picture is missing")
        end = time.monotonic() + then
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def take(self, name: str) -> None:
        """Write what is on the screen, without napari's notifications."""
        for widget in QApplication.allWidgets():
            if type(widget).__name__ == "NapariQtNotification":
                widget.close()
        self.wait(lambda: True, then=1)
        screen = QApplication.primaryScreen()
        assert screen is not None
        path = self.out / f"{name}.png"
        screen.grabWindow(0).save(str(path))  # type: ignore[arg-type]  # 0: all of it
        with Image.open(path) as picture:
            window = picture.convert("RGB").crop((0, 0, *self.size))
        window.save(path, optimize=True)
        if path.stat().st_size > LARGEST:
            window.quantize(256, kmeans=2).save(path, optimize=True)
        log.info("%s: %d kB", path, path.stat().st_size // 1000)

    # The tour

    def preflight(self) -> None:
        self.take("0_start")
        self.open_sample("spliceosome")
        self.wait(lambda: self.session.particles is not None)
        quick = PRESETS["quick"]
        settings = dataclasses.replace(
            quick,
            preparation=dataclasses.replace(quick.preparation, half_sets=True),
            encoder=dataclasses.replace(quick.encoder, shifts=False),  # the sample's particles are centred
            schedule=dataclasses.replace(quick.schedule, switch="by-hand"),
        )
        self.session.set_settings(settings)
        self.wait(lambda: True, then=8)
        self.take("1_particles")

    def open_sample(self, key: str) -> None:
        self.tab("Particles")
        panel = self.panel(ParticlesPanel)
        assert isinstance(panel, ParticlesPanel)
        panel.opener.open_sample(key)

    def start(self, name: str = "first-run") -> None:
        self.workspace.panel("Run")
        self.run_panel().setup.folder.setText(str(self.work / name))
        self.press("Continue to the run ▸")
        self.press("Start")
        self.wait(lambda: self.session.folder is not None and self.session.folder.path.name == name)
        self.wait(lambda: bool(self.session.epochs))

    def press(self, text: str) -> None:
        """Press the button at the foot, once it says this."""
        self.wait(lambda: self.workspace.foot.button.text() == text and self.workspace.foot.button.isEnabled())
        self.workspace.foot.button.click()

    def run_panel(self) -> RunPanel:
        panel = self.panel(RunPanel)
        assert isinstance(panel, RunPanel)
        return panel

    def posterior(self) -> PosteriorPanel:
        self.tab("Posterior")
        panel = self.panel(PosteriorPanel)
        assert isinstance(panel, PosteriorPanel)
        return panel

    def uncertain(self) -> None:
        """A particle of which two poses are likely: an Hsp90, nearly the same after half a turn."""
        self.session.set_settings(without_half_sets(self.session.settings))
        before = self.session.source
        self.open_sample("hsp90")
        self.wait(lambda: self.session.source is not before)
        self.start("hsp90")
        self.wait(lambda: self.session.epochs[-1] >= GROWN)
        self.run_panel().pause.click()
        self.wait(lambda: self.session.status is not None and self.session.status.state == "paused", then=3)
        panel = self.posterior()
        self.tab("Heads")
        self.session.show_epoch(self.session.epochs[-1])
        self.wait(panel.picker.uncertain.isEnabled)
        spread: dict[int, float] = {}
        for _ in range(LOOKED_AT):
            panel.picker.uncertain.click()
            self.wait(lambda: self.looked(panel))
            spread[self.session.particle] = second_mode(panel)
            if spread[self.session.particle] > 0.3:
                break
        self.session.choose_particle(max(spread, key=lambda particle: spread[particle]))
        panel.views.tabs.setCurrentIndex([*VIEW_TIPS].index("Flat"))
        self.wait(lambda: self.looked(panel), then=5)
        self.take("2_posterior")
        self.run_panel().stop.click()
        self.wait(lambda: not self.session.driven_here)

    def looked(self, panel: PosteriorPanel, stage: Stage | None = None) -> bool:
        """Whether all of the chosen particle is shown, in one stage or either."""
        found = panel.posterior
        if found is None or found.detail is None or found.particle != self.session.particle:
            return False
        return stage in (None, found.stage)

    def encoding(self) -> None:
        self.tab("Switch")
        self.tab("Convergence")
        self.wait(lambda: self.session.status is not None and self.session.status.switch_ready, then=3)
        self.take("3_auto_encoding")

    def switch(self) -> None:
        self.tab("Switch")
        self.press("Switch to auto-decoding")
        self.wait(lambda: self.session.status is not None and self.session.status.stage == "auto-decoding")
        epoch = self.session.status.epoch if self.session.status is not None else 0
        self.wait(lambda: self.session.status is not None and self.session.status.epoch >= epoch + 3)
        panel = self.posterior()
        self.wait(lambda: self.looked(panel, "auto-decoding"), then=4)
        self.tab("Run")  # The Posterior is a tab beside it where the window is low.
        self.take("4_auto_decoding")

    def finish(self) -> None:
        self.wait(lambda: self.session.status is not None and self.session.status.state == "finished", then=5)
        self.wait(lambda: not self.session.driven_here)
        self.press("See the result ▸")
        for number, title in (("5", "Heads"), ("6", "Orientations"), ("7", "Convergence")):
            self.tab(title)
            if title == "Convergence":
                self.show_fsc()
            self.wait(lambda: True, then=5)
            self.take(f"{number}_{'finished' if title == 'Convergence' else title.lower()}")

    def show_fsc(self) -> None:
        """Bring the FSC to the front where there is no room for all plots."""
        panel = self.panel(ConvergencePanel)
        assert isinstance(panel, ConvergencePanel)
        panel.multiples.tabs.setCurrentIndex(panel.multiples.all_plots.index(panel.fsc))

    def judged(self, folder: Path) -> None:
        """What a run that is over says of itself and of its images: the verdict, the scales, the junk."""
        self.session.watch(RunFolder(folder))
        self.wait(lambda: bool(self.session.epochs))
        self.tab("Run")
        self.tab("Convergence")
        panel = self.posterior()
        self.wait(lambda: self.looked(panel))
        self.tab("Result")
        result = self.panel(ResultPanel)
        assert isinstance(result, ResultPanel)
        self.wait(lambda: not result.is_empty, then=5)
        self.take("8_verdict")
        self.tab("Export")
        export = self.panel(ExportPanel)
        assert isinstance(export, ExportPanel)
        choice = export.choice
        self.wait(lambda: choice.junk.found is not None)
        choice.fold.set_open(True)
        self.tab("Scales")
        self.tab("Export")
        self.wait(lambda: bool(choice.junk.gallery.mosaic.pictures), then=5)
        self.show_fold(choice.fold)
        self.take("9_junk_and_scales")

    def in_doubt(self) -> None:
        """Which particles are in doubt: the wall of posteriors, and the sphere coloured by uncertainty."""
        self.tab("Run")
        self.tab("In doubt")
        wall = self.panel(WallPanel)
        assert isinstance(wall, WallPanel)
        self.wait(lambda: len(wall.wall.rows) > 0)
        self.wait(lambda: all(int(row) in wall.wall.known for row in wall.wall.rows), then=1)
        panel = self.posterior()
        wall.wall.clicked.emit(int(wall.wall.rows[0]))
        self.wait(lambda: self.looked(panel), then=2)
        self.wait(lambda: all(int(row) in wall.wall.known for row in wall.wall.rows))
        self.take("10_in_doubt")
        self.tab("Orientations")
        orientations = self.panel(OrientationsPanel)
        assert isinstance(orientations, OrientationsPanel)
        self.wait(lambda: orientations.found is not None)
        orientations.figure.setCurrentText("Uncertainty")
        self.wait(lambda: orientations.coloured is not None, then=2)
        self.take("11_views_in_doubt")

    def selection(self) -> None:
        """The one selection: the doubtful particles, their images, and the map that they make alone."""
        self.tab("Run")
        self.tab("Selection")
        panel = self.panel(SelectionPanel)
        assert isinstance(panel, SelectionPanel)
        self.wait(lambda: panel.figures is not None)
        assert panel.figures is not None
        entropy = panel.figures.column("entropy")
        self.session.selection.select(panel.figures.rows[entropy > np.nanmedian(entropy)], "the more uncertain half")
        panel.reconstruct.click()
        self.wait(lambda: SELECTED_MAP in ghosts_of(self.viewer).layers)
        pictures = panel.gallery.triples.pictures
        self.wait(lambda: all(int(row) in pictures for row in panel.gallery.triples.rows), then=3)
        self.take("12_selection")
        ghosts_of(self.viewer).remove_all()

    def map_tools(self) -> None:
        """The map: coloured where it is uncertain, and a known map beside it."""
        self.tab("Run")
        self.tab("Convergence")
        live = live_map_of(self.viewer)
        self.wait(lambda: live.picture is not None)
        assert live.picture is not None
        coloured_by = "halves" if live.picture.halves else "epochs"
        live.set_display(coloured_by=coloured_by, hide_dust=True)
        self.wait(lambda: live.picture is not None and live.picture.uncertainty is not None, then=2)
        self.take("13_local_uncertainty")
        live.set_display(coloured_by="plain")
        bottom = self.bottom()
        assert bottom is not None
        tools = bottom.live_map.tools  # type: ignore[attr-defined]
        known = SAMPLE_MAPS["hsp90" if "hsp" in str(self.session.folder) else "spliceosome"]
        tools.comparisons.fit_file(known)
        self.wait(lambda: known.name in ghosts_of(self.viewer).layers, then=2)
        ghosts_of(self.viewer).set_side_by_side(True)
        self.take("14_known_map")
        ghosts_of(self.viewer).remove_all()

    def two_runs(self, other: Path) -> None:
        """The run beside another one of the same particles: curves, table, maps."""
        self.tab("Run")
        self.tab("Two runs")
        panel = self.panel(TwoRunsPanel)
        assert isinstance(panel, TwoRunsPanel)
        self.wait(lambda: not panel.is_empty)
        panel.comparisons.compare_run(other)
        self.wait(lambda: panel.found is not None and other.name in ghosts_of(self.viewer).layers)
        panel.apart.setChecked(True)
        self.wait(lambda: True, then=2)
        self.take("15_two_runs")
        ghosts_of(self.viewer).remove_all()

    def show_fold(self, fold: Fold) -> None:
        """Scroll until a part that is unfolded is visible as far as it fits."""
        above = fold.parentWidget()
        while above is not None and not isinstance(above, QScrollArea):
            above = above.parentWidget()
        if isinstance(above, QScrollArea):
            above.ensureWidgetVisible(fold.content)
            above.ensureWidgetVisible(fold.title)


def menu_action(title: str) -> QAction:
    """Find an entry of napari's menus by its title, as a user does."""
    window = next(widget for widget in QApplication.topLevelWidgets() if isinstance(widget, QMainWindow))
    for menu in window.findChildren(QMenu):
        menu.aboutToShow.emit()  # napari fills a menu when it opens.
    found = [action for menu in window.findChildren(QMenu) for action in menu.actions()]
    return next(action for action in found if action.text().replace("&", "") == title)


def second_mode(panel: PosteriorPanel) -> float:
    """Probability of the directions more than 40 degrees away from the most probable one."""
    assert panel.posterior is not None
    probability = np.exp(panel.posterior.directions.log_posterior)
    centres = healpix_cells(int(np.sqrt(len(probability) / 12))).centres
    far = centres @ centres[probability.argmax()] < np.cos(np.radians(40))
    return float(probability[far].sum())


def without_half_sets(settings: Settings) -> Settings:
    return dataclasses.replace(settings, preparation=dataclasses.replace(settings.preparation, half_sets=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"), help="folder of the pictures")
    parser.add_argument("--size", default="1600x1000", help="pixels of the window")
    parser.add_argument("--scale", type=int, default=1, help="pixels of the screen for each of the window")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    parser.add_argument(
        "--run", type=Path, help="run that is over: take the pictures of its verdict, scales and junk only"
    )
    parser.add_argument("--other", type=Path, help="with --run: another run of the same particles, beside it")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as work:
        # What is chosen on the tour is not remembered.
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, work)
        os.environ["QT_SCALE_FACTOR"] = str(arguments.scale)
        tour = Tour(arguments.out, Path(work), (width, height), arguments.theme, arguments.scale)
        if arguments.run is not None:
            tour.judged(arguments.run)
            tour.in_doubt()
            tour.selection()
            tour.map_tools()
            if arguments.other is not None:
                tour.two_runs(arguments.other)
        else:
            for part in (tour.preflight, tour.start, tour.encoding, tour.switch, tour.finish, tour.uncertain):
                part()
        tour.viewer.close()


if __name__ == "__main__":
    main()
