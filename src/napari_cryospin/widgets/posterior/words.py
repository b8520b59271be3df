"""A particle's posterior in words, and as markers on the maps of view directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cryospin.geometry.sphere_cells import pixel_of
from napari_cryospin.views.posterior.source import Detail, Look
from napari_cryospin.widgets.sphere.scene import DirectionScene, Marker

if TYPE_CHECKING:
    from napari_cryospin.widgets.session.session import Session

EMPTY = (
    "Start a run, or attach to one, and choose a particle:\n"
    "the posterior of its pose appears here with the first map, on a globe that you can turn."
)


def waiting_for(session: Session) -> str:
    """Why there is no posterior yet."""
    if session.folder is None:
        return EMPTY
    if session.snapshot is not None:
        return f"The posterior of particle {session.particle} is being computed …"
    if session.status is None or session.live:
        return "Waiting for the run's first map …"
    return "This run ended before its first map: there is no posterior to look at."


def percent(share: float) -> str:
    """A probability as people read it."""
    if share < 1e-4:
        return "less than 0.01 %"
    return f"{100 * share:.{2 if share < 0.01 else 1 if share < 0.9995 else 0}f} %"


def scene_of(look: Look, detail: Detail | None) -> DirectionScene:
    """What the pictures draw of a particle."""
    markers = [
        Marker(unit(head[2]), "head", f"head {number + 1}", number, number == look.winner)
        for number, head in enumerate(look.heads)
    ]
    best = look.posterior.rotation if detail is None else detail.best
    markers.append(Marker(unit(look.rotation[2]), "pose", "the run's pose"))
    markers.append(Marker(unit(best[2]), "best", "best pose on the grid"))
    if detail is not None and detail.truth is not None:
        markers.append(Marker(unit(detail.truth[2]), "truth", "true pose"))
    return DirectionScene(look.posterior.log_posterior, tuple(markers), look.path)


def unit(vector: np.ndarray) -> np.ndarray:
    """A vector's direction; candidates are kept in half precision."""
    vector = np.asarray(vector, dtype=np.float64)
    return vector / np.linalg.norm(vector)


def title_of(look: Look) -> str:
    """How uncertain a particle is, and who won it, under which map."""
    scene = scene_of(look, None)
    cells = len(look.posterior.log_posterior)
    if look.sampled:
        winner = "won by the posterior sample"
    else:
        winner = f"won by head {look.winner + 1}" if look.winner >= 0 else "not won yet"
    step = "" if look.moment.snapshot is None else f", step {look.moment.snapshot.step}"
    at_pose = float(np.exp(look.posterior.log_posterior[pixel_of(unit(look.rotation[2]), 8)]))
    entropy, highest, region = look.posterior.entropy, np.log(cells), int(scene.region.sum())
    return (
        f"<b>Particle {look.particle}</b>: entropy <b>{entropy:.2f}</b> of {highest:.2f} nats; "
        f"90 % in <b>{region}</b> of {cells} cells; {percent(at_pose)} at the run's pose<br>"
        f"{look.stage.capitalize()}, epoch {look.moment.epoch}{step}; {winner}"
    )


def note_of(look: Look, truth_note: str) -> str:
    """What must be said of the candidates."""
    if not len(look.heads):
        text = "No candidates: no epoch's history has them yet."
    elif look.frozen:
        text = (
            f"Candidates: the encoder's last ones (epoch {look.candidate_epoch}); after the switch heads do not move."
        )
    else:
        text = f"Candidates of the heads in epoch {look.candidate_epoch}."
    return f"{text} {truth_note}".strip()
