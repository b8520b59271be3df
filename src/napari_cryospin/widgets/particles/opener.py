"""Opening of particles in the background: from a dialog, a drop or a sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QObject, QStandardPaths, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cryospin.io.formats import PARTICLE_FORMATS
from napari_cryospin.listing import first_of
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
    """Opener of particles for a session; errors are shown as notifications.

    Parameters
    ----------
    session
        Session that receives the particles.
    parent
        Widget over which dialogs appear.
    """

    busy = Signal(str)  # text of what is being done; empty: nothing any more
    size_needed = Signal(object)  # RunInput without a pixel size
    opened = Signal()
    attached = Signal()  # The folder that was given is that of a run.

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session, self.window = session, parent
        self.opening = False  # whether particles are being opened
        self.worker = Worker("cryospin-opener", self)

    def choose(self) -> None:
        """Let the user choose files, and open them."""
        self._open_chosen("Open particles", ())

    def choose_more(self) -> None:
        """Let the user choose files that belong to the particles, and open all of them again."""
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
        """Open particles, or watch the run whose folder is given.

        Parameters
        ----------
        paths
            The particle file and the files that belong to it, in any order.
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
        self._begin(f"Opening {source.particles.name}...")
        self.worker.ask(lambda: open_source(source, truth), then=self._take, failed=self._opening_failed)

    def bring(self, folder: RunFolder) -> None:
        """Open the particles of a run in the background."""
        self._begin(f"Opening the particles of {folder.path.name}...")
        self.worker.ask(lambda: open_source(folder.source), then=self._take, failed=self._bringing_failed)

    def _bringing_failed(self, error: Exception) -> None:
        self.opening = False
        self.busy.emit("")
        show_warning(f"The particles of this run cannot be opened, but it can be looked at. {with_fields(error)}")

    def _begin(self, text: str) -> None:
        self.opening = True
        self.busy.emit(text)

    def open_sample(self, key: str) -> None:
        """Open a sample's particles, which are simulated the first time."""
        sample = SAMPLES[key]
        self._begin(f"Simulating particles of {sample.title}...")
        self.worker.ask(lambda: _open_simulated(sample), then=self._take, failed=self._opening_failed)

    def find_folder(self) -> None:
        """Let the user choose the folder of stacks that were not found, and open the particles again."""
        folder = QFileDialog.getExistingDirectory(self.window, "Folder of the image stacks", recall_choice("folder"))
        if folder and self.session.source is not None:
            source, truth = dataclasses.replace(self.session.source, data_dir=Path(folder)), self.session.truth
            self._begin(f"Looking for stacks in {folder}...")
            self.worker.ask(lambda: _open_found(source, truth), then=self._take_found, failed=self._opening_failed)

    def _take_found(self, answer: tuple[Opened, list[str]]) -> None:
        """Take particles on whose stacks were looked for, and say which were not there."""
        opened, missing = answer
        self._take(opened)
        if missing:
            names = first_of([Path(name).name for name in missing])
            show_warning(f"{opened.source.data_dir}: missing stacks are not in this folder: {names}")

    def _take(self, opened: Opened) -> None:
        """Hand opened particles to the session, without the settings that were made for the particles before."""
        self.opening = False
        settings = self.session.settings
        preparation = dataclasses.replace(
            settings.preparation,
            box=None,
            mask_radius=None,
            subset=None,
            invert_contrast=False,
            leave_out_bad=False,
        )
        self.session.set_settings(dataclasses.replace(settings, preparation=preparation))
        self.session.set_particles(opened.particles, opened.source, opened.truth)
        self.opened.emit()

    def _opening_failed(self, error: Exception) -> None:
        self.opening = False
        self.busy.emit("")
        if isinstance(error, PixelSizeNeededError):
            self.size_needed.emit(error.source)
        else:
            show_error(
                with_fields(error) if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {error}"
            )


def _open_found(source: RunInput, truth: Path | None) -> tuple[Opened, list[str]]:
    from napari_cryospin.checks.preflight import missing_stacks  # It imports torch.

    opened = open_source(source, truth)
    return opened, missing_stacks(opened.particles)


def _open_simulated(sample: Sample) -> Opened:
    cache = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    source, truth = sample_files(sample, Path(cache) / "napari-cryospin")
    return open_source(source, truth)
