"""Size of texts as the user set it in napari's Preferences, also where napari's style sheet sets none."""

from __future__ import annotations

from qtpy.QtGui import QFont
from qtpy.QtWidgets import QWidget

USUAL_POINTS = 9.0
"""Size of texts, pt, for which pictures and plots are laid out: napari's own on Linux and Windows."""


def text_points() -> float:
    """Return the size of napari's texts, pt."""
    from napari.settings import get_settings

    return float(get_settings().appearance.font_size)


def apply_text_size(widget: QWidget) -> None:
    """Give a widget, and those in it that napari's style sheet leaves out, the size of napari's texts."""
    chosen = QFont(widget.font())
    chosen.setPointSizeF(text_points())
    widget.setFont(QFont())  # Qt would hand an equal font to none of those that came into the widget meanwhile.
    widget.setFont(chosen)


def usual_font(font: QFont) -> QFont:
    """Make the font of usual size, for a picture that is scaled as a whole by `text_scale`."""
    usual = QFont(font)
    usual.setPointSizeF(USUAL_POINTS)
    return usual


def text_scale(font: QFont) -> float:
    """Return the factor of what has to have room for texts in a font: 1 for the usual size."""
    return font.pointSizeF() / USUAL_POINTS if font.pointSizeF() > 0 else 1.0
