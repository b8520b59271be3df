"""Whether a run waits for the user's switch: its planned epochs are over, and it never switched to auto-decoding."""

from __future__ import annotations

from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.runs.messages import Status
from napari_cryospin.settings import Settings

WAITS_FOR_SWITCH = (
    "the planned epochs are over, and the switch to auto-decoding was left to you: going on with the run makes it"
)
"""Message of the status of a run that waits for the switch."""


def waits_for_switch(status: Status, settings: Settings) -> bool:
    """Return whether a run ended at its planned epochs with the switch still to be made by hand.

    Older versions called such a run finished.
    """
    by_hand = settings.schedule.switch == "by-hand" and DESCRIPTIONS[settings.method].has_switch
    over = status.state in ("stopped", "finished") and status.epoch >= settings.schedule.epochs
    return by_hand and over and status.stage == "auto-encoding"
