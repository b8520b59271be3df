"""What a message advises is in the window under the name that it is given there."""

import pytest
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLabel

from napari_cryospin.advice import Advice
from napari_cryospin.widgets.kit.option_names import PLACES_OF_OPTIONS, with_fields
from napari_cryospin.widgets.panel_tabs import PANELS
from support.advised import advised


def test_every_option_that_is_advised_has_its_place():
    assert advised() - {"orientation_table"} == set(PLACES_OF_OPTIONS)  # the window simulates its samples only


@pytest.mark.parametrize("title", sorted({panel for _, panel in PLACES_OF_OPTIONS.values()}))
def test_fields_and_buttons_are_in_their_panels(title, make_napari_viewer, qtbot):
    panel = PANELS[title].make(make_napari_viewer())
    qtbot.addWidget(panel)
    if title == "Run":
        panel.setup.folded.toggled.emit(True)
    texts = [part.text() for kind in (QLabel, QAbstractButton) for part in panel.findChildren(kind)]
    texts = [text.partition(" (")[0] for text in texts]  # without the unit
    texts += [part.itemText(0).partition(":")[0] for part in panel.findChildren(QComboBox)]
    assert {name for name, panel_of in PLACES_OF_OPTIONS.values() if panel_of == title} <= set(texts)


def test_options_are_named_by_field_and_panel():
    assert with_fields(ValueError(Advice("no size", "pixel_size"))) == "no size (Pixel size, in the Particles panel)"
    assert with_fields(Advice("no poses", "orientation_table")) == "no poses"
