"""What the fits of a run tell at the end of an epoch: entropies, and shares of heads and classes."""

from __future__ import annotations

import torch

from napari_cryospin.engine.classes import class_shares
from napari_cryospin.engine.fit import Fit
from napari_cryospin.engine.outcome import make_head_share


def fit_metrics(fits: list[Fit]) -> dict[str, float]:
    """Return the mean entropy, if it is known, the shares of the heads and, of several classes, theirs."""
    metrics = _class_shares(fits) if max(len(fit.classes) for fit in fits) > 1 else {}
    entropies = torch.cat([fit.particles.entropy for fit in fits])
    if bool((~entropies.isnan()).any()):
        metrics["entropy"] = float(entropies.nanmean())
    share = make_head_share(fits)
    metrics |= {f"head_share_{head}": float(value) for head, value in enumerate(share[:-1])}
    metrics["sample_share"] = float(share[-1])
    return metrics


def _class_shares(fits: list[Fit]) -> dict[str, float]:
    """Return the share of each class among the particles, of half sets the mean of both."""
    counts = max(len(fit.classes) for fit in fits)
    shares = [class_shares(fit).tolist() + [0.0] * (counts - len(fit.classes)) for fit in fits]
    return {f"class_share_{k + 1}": sum(one[k] for one in shares) / len(shares) for k in range(counts)}
