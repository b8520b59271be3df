"""Choice of the poses with which the second stage begins (paper, section 4.2, Eq. 6)."""

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
    """Store the best candidate of every particle as its pose (paper, Eq. 6), and remake the volume from these poses.

    The learners propose once more for all particles, but no longer learn. The best pose of a search competes if the
    settings ask for it, or if there are no learners. Where posterior samples competed, the stored pose competes too.

    Parameters
    ----------
    fit : Fit
    learners : sequence of Proposer
        Proposers of the first stage that learn.
    volume_step : VolumeStep
        Volume step of the first stage.
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
