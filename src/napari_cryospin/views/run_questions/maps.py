"""What can be asked about a run's maps."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.views.classes import Classes, classes_of
from napari_cryospin.views.fsc import HalfMapFsc, epoch_fsc, results_fsc
from napari_cryospin.views.map_pictures import MapDisplay, MapReader, MapSource
from napari_cryospin.views.run_map import RunMap
from napari_cryospin.views.run_questions.moments import RunMoments

if TYPE_CHECKING:
    from napari_cryospin.views.known_map import FittedMap


class MapQuestions(RunMoments):
    """Access to a run's maps, those of its halves and classes, and how well halves agree."""

    def map(
        self, epoch: int | None = None, half: int | None = None, *, flipped: bool = False, class_number: int = 1
    ) -> RunMap:
        """Return the run's map.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.
        half
            With half sets, 1 or 2: the half whose map is returned, in its own frame. Default: the mean of both, in the
            frame of the first.
        flipped
            Whether to return the map of the other hand.
        class_number
            Class whose map is returned, from 1.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such map.
        """
        moment = self._moment(epoch)
        if class_number != 1:  # The first class is always there, and reading the record takes a while.
            self.record(epoch).maps_of_class(class_number)
        source = MapSource(moment.snapshot, self.folder, None if moment.snapshot else moment.epoch)
        picture = self._reader.picture(
            source, MapDisplay(half=half or 0, flipped=flipped, class_number=class_number), surface=False
        )
        if half is not None and half not in (1, 2)[: picture.halves]:
            raise ValueError(f"{self.folder.path}: half {half} of {picture.halves} half maps; expected 1 or 2 of two")
        return RunMap(picture.density, picture.pixel_size, moment.epoch, picture.note)

    @cached_property
    def _reader(self) -> MapReader:
        return MapReader()

    def maps(self, epoch: int | None = None) -> tuple[RunMap, ...]:
        """Return the run's map, or those of its two half sets, each in its own frame; parameters as in `map`."""
        record = self.record(epoch)
        return tuple(RunMap(density, record.pixel_size, record.epoch) for density in record.maps)

    def classes(self, epoch: int | None = None) -> Classes:
        """Return the run's classes, with their shares and maps; parameters and errors as in `record`."""
        return classes_of(self.record(epoch))

    def map_of(self, particles: ParticleRecord, cancelled: threading.Event | None = None) -> RunMap:
        """Make a map from some of the particles alone, each at its pose, with one volume step; this reads their images.

        Parameters
        ----------
        particles
            Record of these particles, all in one frame: for example `results.particles.select(...)`.
        cancelled
            Setting it makes the call raise `CancelledError` soon.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no map yet, there are no particles, or their images cannot be read.
        """
        from napari_cryospin.views.selected_map import map_of_particles

        return map_of_particles(self.folder, particles, self.record(), self.symmetry, cancelled)

    def fit_known(self, path: Path | str, epoch: int | None = None) -> FittedMap:
        """Fit a known map (.mrc), or a model (PDB, mmCIF; needs gemmi), to the run's map, in either hand.

        Parameters
        ----------
        path
            File of the map or model.
        epoch
            One of `epochs`. Default: the newest state.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no map yet, or the file cannot be read or does not fit the box.
        """
        from napari_cryospin.views.known_map import fit_to_map, read_known

        own, resolution = self.map(epoch), self.compared_to(epoch)
        known = read_known(Path(path), len(own.density), own.pixel_size, resolution)
        return fit_to_map(own, known, Path(path).name, resolution)

    def fit_run(self, other: MapQuestions, epoch: int | None = None) -> FittedMap:
        """Fit the newest map of another run to a map of this run, in either hand; parameters and errors as above."""
        from napari_cryospin.views.known_map import fit_to_map, on_grid

        own, theirs, resolution = self.map(epoch), other.map(), self.compared_to(epoch)
        known = on_grid(theirs.density, theirs.pixel_size, len(own.density), own.pixel_size, resolution)
        return fit_to_map(own, known, other.folder.path.name, resolution)

    def compared_to(self, epoch: int | None) -> float:
        """Return the resolution, Angstrom, of the finest shell in which the run compares map and images."""
        record = self.record(epoch)
        return record.pixel_size * len(record.map) / record.band

    def fsc(self, epoch: int | None = None) -> HalfMapFsc:
        """Return the Fourier shell correlation of the half maps.

        Parameters
        ----------
        epoch
            The newest curves up to the end of this epoch. Default: those of the results, or the newest ones if there
            are no results.

        Returns
        -------
        HalfMapFsc
            It has no curves if there are no half sets, or if they were not compared yet.
        """
        found = results_fsc(self.folder.results_path) if epoch is None else HalfMapFsc()
        return found if found.curves else epoch_fsc(self.folder.read_metrics(), epoch)
