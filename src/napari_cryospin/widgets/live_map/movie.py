"""A movie of a run: its maps, epoch by epoch, with view directions and resolution beside them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_cryospin.views.curves import Clock, series
from napari_cryospin.views.orientations import direction_density
from napari_cryospin.widgets.kit.colours import theme_of
from napari_cryospin.widgets.live_map.camera_link import camera_rotation
from napari_cryospin.widgets.live_map.movie_strip import StripContent, side_strip

if TYPE_CHECKING:
    from napari_cryospin.views.map_pictures import MapPicture
    from napari_cryospin.widgets.live_map.layers import LiveMap

log = logging.getLogger(__name__)

EPOCHS_A_SECOND = 4
LAST_FRAME_SHOWN = 6  # frames for which the last epoch stays
NO_FFMPEG = (
    "MP4 needs imageio-ffmpeg, which is not installed: pip install 'napari-cryospin[movie]'. A GIF needs nothing more."
)


class MovieMaker(QObject):
    """Maker of a movie, which shows every epoch on the canvas and takes its picture.

    Parameters
    ----------
    live
        Live map; also the parent.
    """

    told = Signal(str)  # how far it is, where the movie is, or why there is none
    finished = Signal()

    def __init__(self, live: LiveMap) -> None:
        super().__init__(live)
        self.live, self.session = live, live.session
        self.path: Path | None = None
        self._epochs: tuple[int, ...] = ()
        self._before: int | None = None  # epoch that was shown before
        self._writer: Any = None
        self._size: tuple[int, int] | None = None
        live.drawn.connect(self._take)
        self.session.run_changed.connect(self.stop)

    @property
    def running(self) -> bool:
        return self._writer is not None

    def start(self, path: Path) -> None:
        """Begin a movie, .mp4 or .gif, of all epochs of the run."""
        epochs = self.session.epochs
        if self.running or not epochs:
            self.told.emit("There is no epoch yet to show in a movie.")
            return
        try:
            self._writer = movie_writer(path)
        except (ImportError, OSError, ValueError) as error:
            self.told.emit(f"{path}: {error}")
            return
        self.path, self._epochs, self._size = path, epochs, None
        self._before = self.session.shown_epoch
        if self.session.shown_epoch == epochs[0]:
            self._take(self.live.picture)
        else:
            self.session.show_epoch(epochs[0])

    def stop(self) -> None:
        """Break the movie off, and remove what was written of it."""
        if self.running:
            self._close()
            assert self.path is not None
            self.path.unlink(missing_ok=True)
            self.told.emit("the movie was broken off")

    def _take(self, picture: MapPicture | None) -> None:
        """Take the picture of the epoch that is drawn, and show the next one."""
        if not self.running or picture is None or not self._epochs or picture.source.epoch != self._epochs[0]:
            return
        epoch, self._epochs = self._epochs[0], self._epochs[1:]
        try:
            for _ in range(1 if self._epochs else LAST_FRAME_SHOWN):
                self._writer.append_data(self._frame(epoch))
        except (OSError, ValueError, RuntimeError) as error:
            self.stop()
            self.told.emit(f"{self.path}: the movie cannot be written: {error}")
            return
        if self._epochs:
            self.told.emit(f"movie: epoch {epoch}")
            self.session.show_epoch(self._epochs[0])
        else:
            self._close()
            self.told.emit(f"wrote {self.path}")

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        writer.close()
        self.session.show_epoch(self._before)
        self.finished.emit()

    def _frame(self, epoch: int) -> NDArray[np.uint8]:
        """Draw the canvas with the strip beside it, in a size that stays the same and is even."""
        canvas = np.asarray(self.live.viewer.screenshot(canvas_only=True, flash=False))[..., :3]
        if self._size is None:
            self._size = canvas.shape[0] // 2 * 2, canvas.shape[1] // 2 * 2
        height, width = self._size
        fitted = np.zeros((height, width, 3), np.uint8)
        rows, columns = min(height, canvas.shape[0]), min(width, canvas.shape[1])
        fitted[:rows, :columns] = canvas[:rows, :columns]
        side = side_strip(self._content(epoch), height, theme_of(self.live.viewer))
        return np.concatenate([fitted, side], axis=1)

    def _content(self, epoch: int) -> StripContent:
        """Collect what is known of the run up to an epoch."""
        session = self.session
        clock = Clock(session.metrics, session.status)
        x, y = series(session.metrics, "resolution", "epoch", clock)
        switches = [place for place in clock.switches(session.events, "epoch") if place <= epoch]
        known = x <= epoch
        return StripContent(
            epoch=epoch,
            resolution=self._resolution(epoch),
            epochs=x[known],
            frequencies=1 / y[known],
            switch=switches[0] if switches else None,
            density=self._density(epoch),
            turned=camera_rotation(self.live.viewer.camera),
        )

    def _density(self, epoch: int) -> NDArray[np.float64] | None:
        """Read from where the particles are seen, as many as an even spread has 1; None: that cannot be read."""
        folder = self.session.folder
        try:
            return None if folder is None else direction_density(folder.history(epoch).particles())
        except (OSError, ValueError):
            log.info("the view directions of epoch %d cannot be read", epoch, exc_info=True)
            return None

    def _resolution(self, epoch: int) -> float | None:
        lines = (line for line in self.session.metrics if line.get("epoch_ended") and line.get("epoch") == epoch)
        value = next(lines, {}).get("resolution")
        return float(value) if value is not None and np.isfinite(value) else None


def movie_writer(path: Path) -> Any:
    """Open a movie for writing: MP4 (H.264) or GIF, by the ending of its name.

    Raises
    ------
    ValueError, OSError
        The ending is another one, ffmpeg is missing, or the file cannot be written.
    """
    import imageio.v2 as imageio

    if path.suffix == ".gif":
        return imageio.get_writer(path, mode="I", duration=1000 / EPOCHS_A_SECOND, loop=0)
    if path.suffix != ".mp4":
        raise ValueError(f"found {path.suffix or 'no ending'}; expected .mp4 or .gif")
    try:
        import imageio_ffmpeg  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(NO_FFMPEG) from error
    return imageio.get_writer(path, fps=EPOCHS_A_SECOND, macro_block_size=2)
