"""With which poses the second stage begins (paper, section 4.2, Eq. 6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from napari_cryospin.engine.contest import compete, record_contest, record_proposals
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.proposers import Proposer, Search, StoredPose
from napari_cryospin.engine.volume_steps import VolumeStep
from napari_cryospin.models.volume import Volume


@torch.no_grad()
def choose_poses(fit: Fit[Volume], learners: Sequence[Proposer], volume_step: VolumeStep) -> None:
    """Make the best candidate of every particle its pose (Eq. 6), and then the volume that belongs to these.

    What learns is left as it stands and proposes once more, for all particles. The best of a search competes where it
    is asked for, or where nothing learns. Where posterior samples competed, the pose that a particle has does so too.

    Parameters
    ----------
    fit : Fit
    learners : sequence of Proposer
        Those proposers of the first stage that learn.
    volume_step : VolumeStep
        Of the first stage.
    """
    posterior = fit.settings.posterior
    searches = [Search(fit)] if posterior.search_at_switch or not learners else []
    own = StoredPose(fit) if posterior.posterior_sample else None
    for batch in fit.batches():
        heads = [proposer.propose(batch) for proposer in learners]
        others = [proposer.propose(batch) for proposer in searches]
        record_proposals(fit, batch, heads, others)
        stored = None if own is None else own.propose(batch)
        record_contest(fit, batch, compete(fit, batch, heads, others, stored))
    volume_step.remake()
