"""The rule by which the band of the first stage grows beyond the planned one; without torch.

At the planned band the images of a small or hollow particle may tell little: poses stay uncertain, and more epochs do
not change that. Finer shells can tell more, if the map is right there. Whether it is, is asked of shells that no pose
was found with: two folds of the particles share a reference, but not beyond its last shell, where noise does not agree.
"""

from __future__ import annotations

from collections.abc import Sequence

UNCERTAIN_ENTROPY = 0.5
"""Median entropy, nats, above which poses are uncertain: the one above which no switch is advised."""
PATIENCE = 2
"""Epochs at one band after which the entropy has to fall, or the band grows; chosen by hand."""
STALLED_FALL = 0.1
"""Share of the median entropy by which it falls at least in these epochs, where it still falls; chosen by hand."""
SKIPPED_SHELLS = 1
"""Shells next to the band that are not asked: a mask makes neighbouring coefficients of noise alike."""
LEAST_AGREEMENT_BEYOND = 0.3
"""Least mean FSC of two folds in the shells of a stair: pure noise has 0.00 +- 0.03 (1,500 images of 64 px)."""
STAIR = 1.25
"""Factor from one band to the next: 11, 14, 18, 22 shells."""


def next_band(band: int, most: int) -> int:
    """Return the band that follows `band`, at most `most` shells."""
    return min(round(STAIR * band), most)


def asks_for_more(entropies: Sequence[float]) -> bool:
    """Return whether poses are uncertain and stay so, from the median entropies of the epochs at the present band."""
    if len(entropies) <= PATIENCE or not entropies[-1] > UNCERTAIN_ENTROPY:
        return False
    before = entropies[-1 - PATIENCE]
    return before - entropies[-1] < STALLED_FALL * before


def agreed_band(correlation: Sequence[float], band: int, most: int) -> int:
    """Return the band to which the folds agree, stair by stair; `band` itself where they do not agree beyond it.

    Parameters
    ----------
    correlation
        `(shells,)` FSC of the two folds, from the zero frequency on.
    band
        Last shell that poses were found with.
    most
        Largest band to return.
    """
    agreed = band
    while agreed < most:
        following = next_band(agreed, most)
        asked = correlation[min(max(agreed, band + SKIPPED_SHELLS) + 1, following) : following + 1]
        if not len(asked) or sum(asked) / len(asked) < LEAST_AGREEMENT_BEYOND:
            break
        agreed = following
    return agreed
