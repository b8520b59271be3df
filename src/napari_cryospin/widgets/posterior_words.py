"""A particle's posterior in words, and as markers on the maps of view directions."""

from __future__ import annotations

import numpy as np

from napari_cryospin.evaluation.sphere_cells import pixel_of
from napari_cryospin.widgets.direction_scene import DirectionScene, Marker
from napari_cryospin.widgets.posterior_source import Detail, Look


def scene_of(look: Look, detail: Detail | None) -> DirectionScene:
    """What the pictures draw of a particle."""
    markers = [
        Marker(unit(head[2]), "head", f"head {number + 1}", number, number == look.winning_head)
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
        winner = f"won by head {look.winning_head + 1}" if look.winning_head >= 0 else "not won yet"
    step = "" if look.moment.snapshot is None else f", step {look.moment.snapshot.step}"
    at_pose = float(np.exp(look.posterior.log_posterior[pixel_of(unit(look.rotation[2]), 8)]))
    entropy, highest, region = look.posterior.entropy, np.log(cells), int(scene.region.sum())
    return (
        f"<b>Particle {look.particle}</b>: entropy <b>{entropy:.2f}</b> of {highest:.2f} nats; "
        f"90 % in <b>{region}</b> of {cells} cells; {100 * at_pose:.3g} % at the run's pose<br>"
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
