"""The symmetry that the map of a run, or of a file, looks like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.views.run_view import RunView

if TYPE_CHECKING:
    from napari_cryospin.evaluation.found_symmetry import FoundSymmetry, SymmetryReport


@dataclass(frozen=True, eq=False)
class ComparedMap:
    """A map whose symmetry is asked for.

    Attributes
    ----------
    density : ndarray
        `(n, n, n)` map `[z, y, x]`, or the first half map.
    pixel_size : float
        Angstrom.
    second : ndarray, optional
        The second half map.
    resolution : float, optional
        Down to which the map is told to hold, Angstrom; None: not known.
    """

    density: NDArray[np.float32]
    pixel_size: float
    second: NDArray[np.float32] | None = None
    resolution: float | None = None

    @classmethod
    def read(cls, path: Path | str) -> ComparedMap:
        """Read a map (.mrc), or the newest map of a run by its folder; of results with half sets the half maps.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such map, no map in the run yet, or the map states no pixel size.
        """
        path = Path(path)
        if path.is_dir():
            return _of_run(RunView(path))
        density, pixel_size = read_map(path)
        if not pixel_size > 0:
            raise ValueError(f"{path}: the header states no pixel size; expected one above 0")
        return cls(density, pixel_size)

    def report(self, group: str | None = None, resolution: float | None = None) -> SymmetryReport:
        """Find which groups the map has, or how well it has one, down to a resolution in Angstrom."""
        from napari_cryospin.evaluation.found_symmetry import symmetry_of_map  # torch

        wanted = resolution or self.resolution
        return symmetry_of_map(self.density, self.pixel_size, group, second=self.second, resolution=wanted)

    @property
    def whole(self) -> NDArray[np.float32]:
        """The map, or the mean of the half maps."""
        return self.density if self.second is None else np.mean((self.density, self.second), axis=0, dtype=np.float32)

    def write_aligned(self, path: Path, found: FoundSymmetry) -> None:
        """Write the map with the axes of a symmetry where the convention wants them."""
        from napari_cryospin.evaluation.found_symmetry import aligned_map  # torch

        write_map(path, aligned_map(self.whole, self.pixel_size, found), self.pixel_size)

    def write_difference(self, path: Path, found: FoundSymmetry) -> None:
        """Write what of the map, so turned, is not symmetric: the map less its average over the group."""
        from napari_cryospin.evaluation.found_symmetry import aligned_map, symmetric_map  # torch

        aligned = aligned_map(self.whole, self.pixel_size, found)
        write_map(path, aligned - symmetric_map(aligned, found.name), self.pixel_size)


def _of_run(view: RunView) -> ComparedMap:
    if (view.folder.results_path / "postprocess.json").is_file():
        results = view.results
        first, second = results.half_maps if len(results.half_maps) == 2 else (results.map, None)
        resolution = results.resolution if np.isfinite(results.resolution) else None
        return ComparedMap(first, results.pixel_size, second, resolution)
    record = view.record()
    extent = record.pixel_size * len(record.map)
    return ComparedMap(np.asarray(record.map, np.float32), record.pixel_size, None, extent / record.band)
