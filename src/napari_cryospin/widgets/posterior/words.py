"""Texts about a particle's posterior, and its markers on the maps of view directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cryospin.geometry.sphere_cells import credible_cells, pixel_of
from napari_cryospin.views.posterior.certainty import CERTAIN_SHARE, certainty_of
from napari_cryospin.views.posterior.particle_posterior import ParticlePosterior
from napari_cryospin.widgets.sphere.scene import DirectionScene, Marker

if TYPE_CHECKING:
    from napari_cryospin.widgets.session.session import Session

EMPTY = (
    "Start a run, or attach to one, and choose a particle:\n"
    "the posterior of its pose appears here with the first map, on a globe that you can turn."
)


def waiting_for(session: Session) -> str:
    """Return the text that says why there is no posterior yet."""
    if session.folder is None:
        return EMPTY
    if session.snapshot is not None:
        return f"The posterior of particle {session.particle + 1} is being computed …"
    if session.status is None or session.live:
        return "Waiting for the run's first map …"
    return "This run ended before its first map: there is no posterior to look at."


def percent(share: float) -> str:
    """Write a probability in per cent."""
    if share < 1e-4:
        return "less than 0.01 %"
    return f"{100 * share:.{2 if share < 0.01 else 1 if share < 0.9995 else 0}f} %"


def scene_of(posterior: ParticlePosterior, log_colours: bool = False) -> DirectionScene:
    """Make the scene that the maps of view directions draw of a particle, in one of two scales of colours."""
    detail = posterior.detail
    markers = [
        Marker(unit(head[2]), "head", f"head {number + 1}", number, number == posterior.winner)
        for number, head in enumerate(posterior.candidates)
    ]
    best = posterior.directions.rotation if detail is None else detail.best
    markers.append(Marker(unit(posterior.rotation[2]), "pose", "the run's pose"))
    markers.append(Marker(unit(best[2]), "best", "best pose on the grid"))
    if detail is not None and detail.truth is not None:
        markers.append(Marker(unit(detail.truth[2]), "truth", "true pose"))
    return DirectionScene(posterior.directions.log_posterior, tuple(markers), posterior.path, log_colours)


def unit(vector: np.ndarray) -> np.ndarray:
    """Normalise a vector; candidates need this because they are kept in half precision."""
    vector = np.asarray(vector, dtype=np.float64)
    return vector / np.linalg.norm(vector)


def title_of(posterior: ParticlePosterior, later: int | None = None) -> str:
    """Write how sure a particle's view is, the winning candidate, and the map's stage, epoch and step.

    Parameters
    ----------
    posterior
        Posterior of the particle.
    later
        Epoch of the map that is shown, if it has gone on since; its posterior is still to come.
    """
    log_posterior = posterior.directions.log_posterior
    if posterior.sampled:
        winner = "won by the posterior"
    else:
        winner = f"won by head {posterior.winner + 1}" if posterior.winner >= 0 else "not won yet"
    step = "" if posterior.step is None else f", step {posterior.step}"
    step = step if later is None else f" (map: epoch {later})"
    at_pose = float(np.exp(log_posterior[pixel_of(unit(posterior.rotation[2]), posterior.directions.nside)]))
    certain = certainty_of(log_posterior, None if posterior.detail is None else posterior.detail.zoom)
    return (
        f"<b>Particle {posterior.particle + 1}</b>: <b>{certain.words}</b>; {percent(at_pose)} at the run's pose<br>"
        f"{posterior.stage.capitalize()}, epoch {posterior.epoch}{step}; {winner}"
    )


def later_epoch(posterior: ParticlePosterior, session: Session) -> int | None:
    """Return the epoch of the map that is shown where it is later than that of the posterior; None: it is not."""
    newest = session.snapshot
    if newest is None or session.shown_epoch is not None or newest.epoch <= posterior.epoch:
        return None
    return newest.epoch


def figures_of(posterior: ParticlePosterior) -> str:
    """Write the figures behind the title, for its tooltip."""
    log_posterior = posterior.directions.log_posterior
    region = int(credible_cells(log_posterior, CERTAIN_SHARE).sum())
    return (
        f"How sure: 90 % of the probability lies in {region} of {len(log_posterior)} view directions, each 7.3° wide. "
        f"Parts of that region that do not touch are views of their own.\n"
        f"Entropy of the posterior: {posterior.entropy:.2f} of {np.log(len(log_posterior)):.2f} nats "
        f"(0: one direction is certain)."
    )


def note_of(posterior: ParticlePosterior) -> str:
    """Write the note on the candidates and on the truth."""
    epoch = posterior.candidate_epoch
    if not len(posterior.candidates):
        text = "No candidates: no epoch's history has them yet."
    elif posterior.frozen:
        text = f"Candidates: the encoder's last ones (epoch {epoch}); after the switch heads do not move."
    else:
        text = f"Candidates of the heads in epoch {epoch}."
    note = "" if posterior.detail is None else posterior.detail.truth_note
    return f"{text} {note}".strip()
