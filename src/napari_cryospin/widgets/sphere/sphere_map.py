"""Maps of values over the sphere of view directions, flat or as globes, with a common colour scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Signal

from napari_cryospin.geometry.sphere_cells import healpix_cells, pixel_of, rot_tilt_of
from napari_cryospin.geometry.sphere_projection import FlatProjection, GlobeProjection, SphereProjection
from napari_cryospin.views.sphere_pictures import SPHERE_MAP_ROWS
from napari_cryospin.widgets.kit.colours import POSE_COLOUR, Theme
from napari_cryospin.widgets.kit.lasso import Lasso
from napari_cryospin.widgets.kit.plots import SECOND, Plot
from napari_cryospin.widgets.sphere.map_places import arrange, joined_lines, rims_of
from napari_cryospin.widgets.sphere.turner import Turner

COLOUR_SCALE_WIDTH = 50.0  # pixels on the right for the colour scale
MAP_COLOURMAP = "viridis"  # of pyqtgraph
MOST_DOTS = 2000  # dots of selected particles that are drawn in a map


class SphereMaps(Plot):
    """Maps of the sphere as seen from outside; rot grows to the right. A globe is turned with the right mouse button.

    Parameters
    ----------
    title
        Name of the values, with unit.
    describe
        Returns the text for a value, which is shown under the mouse.
    """

    direction_clicked = Signal(object)  # (3,) unit view direction
    lassoed = Signal(int, object)  # position of a map, and an outline (p, 2) in the coordinates of its projection

    def __init__(self, title: str, describe: Callable[[float], str] = lambda value: f"{value:.3g}") -> None:
        super().__init__(title)
        self.describe = describe
        self.names: tuple[str, ...] = ()
        self.values: NDArray = np.zeros((0, 12))
        self.levels = (0.0, 1.0)
        self.log = False
        self.projection: SphereProjection = FlatProjection()
        self.marker: NDArray | None = None
        self.selected: NDArray = np.zeros((0, 3))
        for side in ("left", "bottom"):
            self.hideAxis(side)
        self.setMouseEnabled(x=False, y=False)
        self._images: list[pg.ImageItem] = []
        self._titles: list[pg.TextItem] = []
        self._lines = pg.PlotCurveItem(antialias=True)
        self._rims = pg.PlotCurveItem(antialias=True)
        self._ring = pg.ScatterPlotItem(size=13, brush=None, pen=pg.mkPen(POSE_COLOUR, width=2.2))
        self._dots = pg.ScatterPlotItem(size=3, pen=None, brush=SECOND)
        self._shade = pg.ScatterPlotItem(size=13, brush=None, pen=pg.mkPen("#000000", width=4.5))
        self._bar = pg.ImageItem(np.arange(255, dtype=np.uint8)[:, None] + 1, axisOrder="row-major")
        self._bar_texts = [pg.TextItem(anchor=(0, 0.5)) for _ in range(5)]
        for item in (self._lines, self._rims, self._dots, self._shade, self._ring, self._bar, *self._bar_texts):
            self.addItem(item, ignoreBounds=True)
            item.setZValue(5)
        for text in self._bar_texts:
            text.setFont(self.small_font)
        self._places: list[QRectF] = []
        self.plotItem.vb.sigResized.connect(self._place)
        self.lasso = Lasso(self)
        self.lasso.clicked.connect(self._clicked)
        self.lasso.drawn.connect(self._lassoed)
        self.turner = Turner(self)
        self.turner.dragged.connect(self._turn)

    # Content

    def set_maps(
        self, names: Sequence[str], values: NDArray, levels: tuple[float, float] | None = None, log: bool = False
    ) -> None:
        """Show maps.

        Parameters
        ----------
        names
            Names of the maps, shown above them where there are several.
        values
            `(maps, cells)` on a HEALPix grid, ring order; nan: nothing there. The grid has been `prepare`d.
        levels
            Ends of the colour scale. Default: 0 to the largest value.
        log
            Whether colours are logarithmic; a value of 0 stays empty.
        """
        self.names, self.values, self.log = tuple(names), np.asarray(values, dtype=np.float64), log
        top = float(np.nanmax(self.values, initial=0.0))
        self.levels = levels or (0.0, round_up(top))
        while len(self._images) < len(names):
            self._images.append(pg.ImageItem(axisOrder="row-major"))
            self._titles.append(pg.TextItem(anchor=(0.5, 1.0), color=self.theme.text))
            self._titles[-1].setFont(self.small_font)
            self.addItem(self._images[-1], ignoreBounds=True)
            self.addItem(self._titles[-1], ignoreBounds=True)
        self._paint()
        self._place()

    def set_projection(self, projection: SphereProjection) -> None:
        """Draw the maps in another way."""
        self.projection = projection
        self._paint()
        self._place()

    def _turn(self, step: QPointF) -> None:
        """Turn the globes by a drag of the mouse, px."""
        if isinstance(self.projection, GlobeProjection) and self._places:
            radius = self._places[0].height() / 2
            self.set_projection(self.projection.turned(step.x() / radius, -step.y() / radius))

    def set_marker(self, direction: NDArray | None) -> None:
        """Mark a `(3,)` view direction in the first map with a ring; None: no ring."""
        self.marker = direction
        self._place_marker()

    def set_selected(self, directions: NDArray) -> None:
        """Mark the `(k, 3)` view directions of selected particles with dots in every map."""
        self.selected = directions[:: max(1, -(-len(directions) // MOST_DOTS))]
        self._place_dots()

    def _place_dots(self) -> None:
        places = [self._spots(self.selected, place) for place in self._places]
        self._dots.setData(pos=np.concatenate(places) if places else np.zeros((0, 2)))

    def set_theme(self, theme: Theme) -> None:
        super().set_theme(theme)
        for text in (*self._titles, *self._bar_texts):
            text.setColor(theme.text)
        self._rims.setPen(pg.mkPen(theme.text, width=1))
        self._lines.setPen(pg.mkPen((*pg.mkColor(theme.text).getRgb()[:3], 60), width=1))
        self._paint()

    def _table_of_colours(self) -> NDArray[np.uint8]:
        """Return `(256, 4)` colours: transparent for points outside and unknown values, then the colour map."""
        colours = np.zeros((256, 4), dtype=np.uint8)
        colours[1:] = pg.colormap.get(MAP_COLOURMAP).getLookupTable(nPts=255, alpha=True)
        return colours

    def _shades(self) -> NDArray[np.uint8]:
        """Return the `(maps, cells)` index of each value in the table of colours."""
        low, high = self.levels
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.log:
                share = np.log(self.values) / np.log(max(high, 1.001))
                share[self.values <= 0] = np.nan
            else:
                share = (self.values - low) / max(high - low, 1e-12)
            shades = 1 + np.clip(np.nan_to_num(share) * 254, 0, 254)
        return np.where(np.isnan(share), 0, shades).astype(np.uint8)

    def _paint(self) -> None:
        colours = self._table_of_colours()
        self._bar.setLookupTable(colours)
        self._bar.setLevels((0, 255))
        self._bar.setVisible(bool(self.names))
        for index, (image, title) in enumerate(zip(self._images, self._titles, strict=True)):
            shown = index < len(self.names)
            image.setVisible(shown)
            title.setVisible(shown and len(self.names) > 1)
            if shown:
                title.setText(self.names[index])
        if not self.names:
            return
        pixels = self.projection.pixels(int(np.sqrt(self.values.shape[1] / 12)), SPHERE_MAP_ROWS)
        for image, shades in zip(self._images, self._shades(), strict=False):
            picture = np.append(shades, np.uint8(0))[pixels]  # The last entry is that of the outside, pixel -1.
            image.setImage(picture, autoLevels=False, levels=(0, 255), lut=colours)

    # Layout; the coordinates of the view are pixels from its lower left corner

    def _place(self) -> None:
        area = self.plotItem.vb.boundingRect()
        width, height = area.width(), area.height()
        if width < 60 or height < 30:
            return
        self.setRange(xRange=(0, width), yRange=(0, height), padding=0)
        half_width = self.projection.half_width
        self._places = arrange(len(self.names), width - COLOUR_SCALE_WIDTH, height, aspect=half_width)
        for place, image, title in zip(self._places, self._images, self._titles, strict=False):
            image.setRect(place)
            title.setPos(place.center().x(), place.bottom() - 1)
        lines = self.projection.lines() if len(self._places) == 1 else []
        self._rims.setData(*rims_of(self._places), connect="finite")
        self._lines.setData(*joined_lines(lines, self._places, half_width), connect="finite")
        self._place_bar(width, height)
        self._place_marker()
        self._place_dots()

    def _place_bar(self, width: float, height: float) -> None:
        tall = min(height - 16, 160.0)
        bottom = (height - tall) / 2
        self._bar.setRect(QRectF(width - COLOUR_SCALE_WIDTH + 10, bottom, 9, tall))
        low, high = self.levels
        for text, share in zip(self._bar_texts, np.linspace(0, 1, len(self._bar_texts)), strict=True):
            value = max(high, 1.001) ** share if self.log else low + share * (high - low)
            text.setText(f"{value:.3g}")
            text.setPos(width - COLOUR_SCALE_WIDTH + 20, bottom + share * tall)
            text.setVisible(bool(self.names))

    def _place_marker(self) -> None:
        directions = np.zeros((0, 3)) if self.marker is None else self.marker[None]
        for item in (self._shade, self._ring):
            item.setData(pos=self._spots(directions, self._places[0]) if self._places else np.zeros((0, 2)))

    def _spots(self, directions: NDArray, place: QRectF) -> NDArray[np.float64]:
        """Return the points `(k, 2)` of those of the `(n, 3)` directions that are seen in a map."""
        spots = self.projection.place(directions) * self._half_axes(place) + (place.center().x(), place.center().y())
        return spots[np.isfinite(spots).all(-1)]

    def _half_axes(self, place: QRectF) -> tuple[float, float]:
        """Return how many pixels one unit of the projection is in a map, in x and y."""
        return place.width() / 2 / self.projection.half_width, place.height() / 2

    # Mouse

    def at(self, x: float, y: float) -> tuple[int, NDArray] | None:
        """Return map and view direction at a point of the view; None: there is none."""
        for index, place in enumerate(self._places):
            direction = self.projection.direction(self._offset(np.array([x, y]), place))
            if np.isfinite(direction).all():
                return index, direction
        return None

    def readout(self, x: float, y: float) -> str:
        found = self.at(x, y)
        if found is None:
            return ""
        index, direction = found
        rot, tilt = rot_tilt_of(direction)
        value = self.values[index, pixel_of(direction, int(np.sqrt(self.values.shape[1] / 12)))]
        words = "nothing known" if np.isnan(value) else self.describe(float(value))
        return f"{self.names[index]}\nrot {rot:.0f}°, tilt {tilt:.0f}°\n{words}".strip()

    def _clicked(self, x: float, y: float) -> None:
        if (found := self.at(x, y)) is not None:
            self.direction_clicked.emit(found[1])

    def _lassoed(self, outline: NDArray) -> None:
        """Tell in which map the lasso was drawn: the one in which its middle lies, or the nearest."""
        if not self._places:
            return
        middle = QPointF(*outline.mean(0))
        distances = [(place.center() - middle).manhattanLength() for place in self._places]
        index = int(np.argmin(distances))
        self.lassoed.emit(index, self._offset(outline, self._places[index]))

    def _offset(self, points: NDArray, place: QRectF) -> NDArray[np.float64]:
        """Return `(..., 2)` points of the view in the coordinates of the projection of a map."""
        offset: NDArray[np.float64] = (points - (place.center().x(), place.center().y())) / self._half_axes(place)
        return offset

    def table(self) -> dict[str, NDArray]:
        nside = int(np.sqrt(self.values.shape[1] / 12))
        rot, tilt = rot_tilt_of(healpix_cells(nside).centres).T
        columns: dict[str, NDArray] = {f"HEALPix pixel (nside {nside}, ring)": np.arange(len(rot))}
        columns |= {"rot (degrees)": rot, "tilt (degrees)": tilt}
        return columns | {f"{name}: {self.title}" if name else self.title: one for name, one in self._named()}

    def _named(self) -> list[tuple[str, NDArray]]:
        return list(zip(self.names, self.values, strict=True))


def round_up(top: float) -> float:
    """Round up the end of a colour scale, so that its quarters are round numbers."""
    if top <= 0:
        return 1.0
    decade = 10.0 ** np.floor(np.log10(top))
    return float(next(step for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 5, 6, 8, 10) if step * decade >= top) * decade)
