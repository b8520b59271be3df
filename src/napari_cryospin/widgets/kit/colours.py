"""Colours that mean the same in every panel, and the colours of napari's theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cryospin.widgets.kit.text_size import USUAL_POINTS, text_points

if TYPE_CHECKING:
    from napari.viewer import Viewer

# The eight colours of Okabe and Ito without black, then further hues that differ from them and that are legible on
# dark and on light.
_HEADS = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
    "#8DD35F", "#B07CE8", "#5FD3C4", "#C4996C", "#7A8FA6", "#E77C8E", "#A6A61D", "#4C78A8",
)  # fmt: skip
_CLASSES = ("#2F80D0", "#C7640F", "#1F8F57", "#A65FCB", "#8B7B14", "#CF4A86", "#1788A0", "#7B7F88")
"""Colours of classes; each has a contrast of at least 3 : 1 to the dark and to the light background of napari."""
SAMPLE_COLOUR = "#BBBBBB"
"""Colour of the posterior sample, #rrggbb."""
POSE_COLOUR = "#FFFFFF"
"""Colour of the chosen particle's pose in the run, which is drawn as a ring."""
TRUTH_COLOUR = "#FF3B30"
"""Colour of the true pose, which is drawn as a cross."""
SWITCH_COLOUR = "#FF6B5E"
"""Colour of the switch to auto-decoding, which is a line in every plot."""


def head_colour(head: int) -> str:
    """Return the colour of a head, counted from 0; the sixteenth head has the colour of the first."""
    return _HEADS[head % len(_HEADS)]


def class_colour(number: int) -> str:
    """Return the colour of a class, counted from 1."""
    return _CLASSES[(number - 1) % len(_CLASSES)]


@dataclass(frozen=True)
class Theme:
    """Colours of napari's theme as #rrggbb, and the size of its texts in pt."""

    background: str
    foreground: str
    text: str
    highlight: str
    dark: bool
    points: float = USUAL_POINTS


def theme_of(viewer: Viewer) -> Theme:
    """Return napari's present theme; the session tells when it changes."""
    from napari.utils.theme import get_theme

    theme = get_theme(viewer.theme)
    red, green, blue = theme.background.as_rgb_tuple()[:3]
    return Theme(
        background=theme.background.as_hex(),
        foreground=theme.foreground.as_hex(),
        text=theme.text.as_hex(),
        highlight=theme.highlight.as_hex(),
        dark=0.299 * red + 0.587 * green + 0.114 * blue < 128,
        points=text_points(),
    )
