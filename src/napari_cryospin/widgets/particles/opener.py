"""Opening particles: by dialog, by drop, from a sample; in the background, and told to the session."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, QStandardPaths, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cryospin.io.formats import PARTICLE_FORMATS
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.widgets.kit.option_names import with_fields
from napari_cryospin.widgets.kit.preferences import recall_choice, remember_choice
from napari_cryospin.widgets.kit.worker import Worker
from napari_cryospin.widgets.particles.inputs import (
    PICKLE_SUFFIX,
    Opened,
    PixelSizeNeededError,
    open_source,
    source_of,
)
from napari_cryospin.widgets.particles.samples import SAMPLES, Sample, sample_files
from napari_cryospin.widgets.session.session import Session

FILTER = "Particles (" + " ".join(f"*{suffix}" for suffix in (*PARTICLE_FORMATS, PICKLE_SUFFIX)) + ")"


class ParticlesOpener(QObject):
    """Opens particles for a session; what goes wrong is told as a notification.

    Parameters
    ----------
    session
        Takes the particles.
    parent
        The widget over which dialogs appear.
    """

    busy = Signal(str)  # what is going on; empty: nothing any more
    size_needed = Signal(object)  # RunInput of a stack alone
    opened = Signal()
    attached = Signal()  # what was given is the folder of a run

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session, self.window = session, parent
        self.worker = Worker("cryospin-opener", self)
        self.worker.answered.connect(self._take)
        self.worker.failed.connect(self._fail)

    def choose(self) -> None:
        """Ask for files, and open them."""
        self._open_chosen("Open particles", ())

    def choose_more(self) -> None:
        """Ask for files that go with the particles, and open all of them again."""
        source = self.session.source
        if source is not None:
            kept = (source.particles, *source.passthrough, source.ctf, source.poses)
            self._open_chosen("Add files", [path for path in kept if path is not None])

    def _open_chosen(self, title: str, kept: Sequence[Path]) -> None:
        names, _ = QFileDialog.getOpenFileNames(self.window, title, recall_choice("folder"), FILTER)
        if names:
            remember_choice("folder", str(Path(names[0]).parent))
            self.open_files([*kept, *map(Path, names)])

    def open_files(self, paths: Sequence[Path]) -> None:
        """Open particles, or show a run whose folder is given.

        Parameters
        ----------
        paths
            The particle file and what goes with it, in any order.
        """
        try:
            if len(paths) == 1 and paths[0].is_dir():
                self.session.watch(RunFolder(paths[0]))
                self.attached.emit()
            else:
                self.open_source(source_of(paths))
        except (ValueError, OSError) as error:
            show_error(with_fields(error))

    def open_source(self, source: RunInput, truth: Path | None = None) -> None:
        """Open particles in the background."""
        self.busy.emit(f"Opening {source.particles.name}...")
        self.worker.ask("open", lambda: open_source(source, truth))

    def open_sample(self, key: str) -> None:
        """Simulate a sample's particles, or find them again, and open them."""
        sample = SAMPLES[key]
        self.busy.emit(f"Simulating particles of {sample.title}...")
        self.worker.ask("open", lambda: _open_simulated(sample))

    def find_folder(self) -> None:
        """Ask for the folder of stacks that were not found."""
        folder = QFileDialog.getExistingDirectory(self.window, "Folder of the image stacks", recall_choice("folder"))
        if folder and self.session.source is not None:
            source = dataclasses.replace(self.session.source, data_dir=Path(folder))
            self.open_source(source, self.session.truth)

    def _take(self, _: str, opened: Opened) -> None:
        """Particles were opened: choices that belong to the ones before do not apply to them."""
        settings = self.session.settings
        preparation = dataclasses.replace(
            settings.preparation, box=None, mask_radius=None, subset=None, invert_contrast=False
        )
        self.session.set_settings(dataclasses.replace(settings, preparation=preparation))
        self.session.set_particles(opened.particles, opened.source, opened.truth)
        self.opened.emit()

    def _fail(self, _: str, error: Exception) -> None:
        self.busy.emit("")
        if isinstance(error, PixelSizeNeededError):
            self.size_needed.emit(error.source)
        else:
            show_error(
                with_fields(error) if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {error}"
            )


def _open_simulated(sample: Sample) -> Opened:
    cache = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    source, truth = sample_files(sample, Path(cache) / "napari-cryospin")
    return open_source(source, truth)
