"""The summary of a run as a page on white paper, which is saved as a picture (PNG) or as a PDF."""

from __future__ import annotations

from html import escape
from pathlib import Path

from qtpy.QtCore import QMarginsF, QSizeF, QUrl
from qtpy.QtGui import QFont, QImage, QPageLayout, QPageSize, QPainter, QPdfWriter, QTextDocument

from napari_cryospin.views.summary import RunSummary
from napari_cryospin.widgets.kit.parts import ERROR, GOOD, ON_LIGHT
from napari_cryospin.widgets.kit.picture_label import image_of_picture

PAGE_WIDTH = 560.0  # points, of the text on the page
MARGIN_MM = 18.0
PICTURE_FACTOR = 2  # pixels of the picture file for each point
TONES = {"good": ON_LIGHT[GOOD], "doubtful": ON_LIGHT[ERROR], "plain": "#202020"}
"""Tone -> colour on white paper, #rrggbb."""


def page_of(summary: RunSummary) -> QTextDocument:
    """Lay out a summary as a document."""
    document = QTextDocument()
    document.setDefaultFont(QFont("Sans Serif", 10))
    picture = image_of_picture(summary.picture)
    document.addResource(QTextDocument.ResourceType.ImageResource.value, QUrl("map"), picture)
    rows = "".join(
        f'<tr><td style="color: #55514F; padding-right: 14px">{escape(row.name)}</td>'
        f'<td style="color: {TONES[row.tone]}">{escape(row.text)}</td></tr>'
        for row in summary.rows
    )
    next_steps = "".join(f"<li><b>{escape(one.text)}</b>: {escape(one.how)}</li>" for one in summary.suggestions)
    document.setHtml(
        f'<body style="color: #202020"><h2>{escape(summary.name)}</h2>'
        f'<p><img src="map" width="{picture.width()}" height="{picture.height()}"></p>'
        f'<p style="color: {TONES[summary.tone]}"><b>Verdict: {escape(summary.verdict)}</b></p>'
        f"<table>{rows}</table><h3>What next</h3><ul>{next_steps}</ul></body>"
    )
    document.setTextWidth(PAGE_WIDTH)
    return document


def save_page(summary: RunSummary, path: Path) -> None:
    """Write a summary as .pdf or .png, as the suffix says.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    document = page_of(summary)
    done = _write_pdf(document, path) if path.suffix.lower() == ".pdf" else _picture(document).save(str(path))
    if not done:
        raise OSError(f"{path}: the file cannot be written")


def _picture(document: QTextDocument) -> QImage:
    size = document.size() * PICTURE_FACTOR
    image = QImage(int(size.width()) + 1, int(size.height()) + 1, QImage.Format.Format_RGB32)
    image.fill(0xFFFFFFFF)
    painter = QPainter(image)
    painter.scale(PICTURE_FACTOR, PICTURE_FACTOR)
    document.drawContents(painter)
    painter.end()
    return image


def _write_pdf(document: QTextDocument, path: Path) -> bool:
    writer = QPdfWriter(str(path))
    writer.setTitle("cryoSPIN result")
    margins = QMarginsF(MARGIN_MM, MARGIN_MM, MARGIN_MM, MARGIN_MM)
    writer.setPageLayout(
        QPageLayout(
            QPageSize(QPageSize.PageSizeId.A4),
            QPageLayout.Orientation.Portrait,
            margins,
            QPageLayout.Unit.Millimeter,
        )
    )
    painter = QPainter()
    if not painter.begin(writer):
        return False
    scale = writer.width() / PAGE_WIDTH
    painter.scale(scale, scale)
    document.setPageSize(QSizeF(PAGE_WIDTH, writer.height() / scale))
    document.drawContents(painter)
    painter.end()
    return True
