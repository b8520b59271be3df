"""Summary of an epoch that has just ended, for scripts, with requests that they can make to the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Command, Event, Stage


@dataclass(frozen=True, kw_only=True)
class EpochSummary:
    """An epoch that has just ended. Its text, for printing, is one line."""

    epoch: int
    """Number of epochs finished."""
    epochs: int
    """Number of epochs planned in all, as far as is known now."""
    stage: Stage
    """Stage of the run."""
    loss: float
    """Mean error of the images in units of the background's noise; 1 if only noise is left."""
    resolution: float
    """Resolution in A; nan if it is not known."""
    entropy: float
    """Mean entropy of the posteriors, nats; nan if it is not known."""
    head_shares: tuple[float, ...]
    """Share of the particles for which each head is the best head."""
    switch_ready: bool
    """Whether the switch to auto-decoding is advised now."""
    switch_reason: str
    """Reason why it is advised, or is not advised yet."""
    verdict: str
    """Verdict on the run as it stands, in one sentence: kind, reasons and what to try next."""
    metrics: Mapping[str, Any] = field(repr=False)
    """Name -> value of everything that was measured, as in metrics.jsonl."""
    folder: RunFolder = field(repr=False)
    """Folder of the run."""

    def switch(self, reason: str = "asked by a script") -> None:
        """Request the switch to auto-decoding, which the run makes after the present step."""
        self.folder.send(Command(kind="switch", reason=reason))

    def change_symmetry(self, group: str, reason: str = "asked by a script") -> None:
        """Request that a point group is imposed on the map, or relaxed: C1. The run does so, or refuses it."""
        self.folder.send(Command(kind="symmetry", arguments=(group,), reason=reason))

    def stop(self) -> None:
        """Request that the run stops after the present step, with checkpoint and results."""
        self.folder.send(Command(kind="stop", reason="asked by a script"))

    def __str__(self) -> str:
        parts = [f"epoch {self.epoch}/{self.epochs}", self.stage, f"loss {self.loss:.4g}"]
        if math.isfinite(self.resolution):
            parts.append(f"{self.resolution:.1f} A")
        if math.isfinite(self.entropy):
            parts.append(f"entropy {self.entropy:.2f} nats")
        return ", ".join(parts)


def summary_of(event: Event, folder: RunFolder) -> EpochSummary:
    """Make the summary of an epoch from the event at its end."""
    metrics = event.detail
    heads = sum(name.startswith("head_share_") for name in metrics)
    return EpochSummary(
        epoch=metrics["epoch"],
        epochs=metrics["epochs"],
        stage=metrics["stage"],
        loss=_known(metrics, "loss"),
        resolution=_known(metrics, "resolution"),
        entropy=_known(metrics, "entropy"),
        head_shares=tuple(metrics[f"head_share_{head}"] for head in range(heads)),
        switch_ready=metrics["switch_ready"],
        switch_reason=metrics["switch_reason"],
        verdict=metrics["verdict"],
        metrics=metrics,
        folder=folder,
    )


def _known(metrics: Mapping[str, Any], name: str) -> float:
    value = metrics.get(name)
    return math.nan if value is None else float(value)
