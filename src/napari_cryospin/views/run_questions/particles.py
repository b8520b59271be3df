"""What can be asked about single particles of a run."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.views.classes import class_probabilities
from napari_cryospin.views.junk_and_scales import Belonging, SignalScales, belonging_of, scales_of
from napari_cryospin.views.pose_path import PosePath
from napari_cryospin.views.posterior.particle_posterior import ParticlePosterior
from napari_cryospin.views.posterior.run_posteriors import RunPosteriors
from napari_cryospin.views.run_questions.moments import RunMoments

if TYPE_CHECKING:
    from napari_cryospin.views.gallery import Gallery


class ParticleQuestions(RunMoments):
    """Access to a run's particles: posteriors, paths, images, and whether they show the particle at all."""

    @cached_property
    def posteriors(self) -> RunPosteriors:
        """Posteriors in two steps that can be cancelled, as a window needs them; `posterior` does both steps."""
        return RunPosteriors(self.folder, self.truth)

    def posterior(self, particle: int, epoch: int | None = None, *, detail: bool = True) -> ParticlePosterior:
        """Compute the posterior of a particle's pose under the run's map.

        Parameters
        ----------
        particle
            Row of the input, from 0.
        epoch
            One of `epochs`. Default: the newest state.
        detail
            Also compute the zoom on the mode and the projections at all candidates, and find the truth.

        Returns
        -------
        ParticlePosterior
            The posterior, with methods `save` and `plot`.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no map yet, the run does not use this row, or its images or the truth cannot be read.
        """
        found = self.posteriors.of(particle, self._moment(epoch))
        if not detail:
            return found
        # Unlike `with_detail`, this call raises an error if the truth cannot be read.
        self.posteriors.true_rotations(found.record)
        return self.posteriors.with_detail(found)

    def pose_path(self, particle: int) -> PosePath:
        """Return the view direction of a particle at the end of each epoch that has a history.

        Parameters
        ----------
        particle
            Row of the input, from 0.

        Raises
        ------
        ValueError
            The run does not use this row.
        """
        return self.posteriors.path(particle)

    def gallery(self, rows: ArrayLike, resolution: float = 20.0) -> Gallery:
        """Return the images of some particles: raw, low-passed, and with their phases flipped.

        Parameters
        ----------
        rows
            `(k,)` rows of the input, from 0.
        resolution
            Resolution of the low-pass filter, Angstrom.

        Raises
        ------
        FileNotFoundError, ValueError
            An image cannot be read.
        """
        from napari_cryospin.views.gallery import gallery_images

        return gallery_images(self.input, rows, resolution)

    def belonging(self, epoch: int | None = None) -> Belonging:
        """Return the probability of each image that it shows the particle, with the worst images and a histogram.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such epoch, or the run did not estimate this.
        """
        return belonging_of(self.particles(epoch))

    def scales(self, epoch: int | None = None) -> SignalScales:
        """Return the scale of the signal in each image, with a histogram and means by micrograph or optics group.

        Parameters
        ----------
        epoch
            One of `epochs`. Default: the newest state.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such epoch, the run did not estimate scales, or the input cannot be read.
        """
        return scales_of(self.particles(epoch), lambda: self.input)

    def class_probabilities(self, particle: int, epoch: int | None = None) -> NDArray[np.float64]:
        """Return the probability of each class of a particle, `(K,)`.

        Parameters
        ----------
        particle
            Row of the input, from 0.
        epoch
            One of `epochs`. Default: the newest state.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such epoch, or the run does not use this row.
        """
        return class_probabilities(self.record(epoch), particle)
