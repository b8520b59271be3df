"""The result of a run as a user reads, copies and saves it."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_cryospin.widgets.session.session import session_of
from napari_cryospin.widgets.workspace import open_workspace

PATIENCE = 60_000  # ms


@pytest.fixture
def column(make_napari_viewer):
    column = open_workspace(make_napari_viewer(show=True))
    yield column
    session_of(column.viewer).close()


@pytest.fixture
def panel(column, qtbot, finished_run):
    panel = column.show_panel("Result")
    assert panel.is_empty
    column.panel("Run").control.attach(finished_run.path)
    qtbot.waitUntil(lambda: panel.card.summary is not None, timeout=PATIENCE)
    return panel


def test_the_card_shows_what_came_out(panel, finished_run):
    assert not panel.is_empty
    assert panel.card.name.text() == finished_run.path.name
    assert "Verdict: not determined" in panel.card.verdict.text()  # 60 particles, 4 epochs
    texts = [panel.card.form.itemAt(row, panel.card.form.ItemRole.FieldRole).widget() for row in range(3)]
    assert "not told" in texts[0].text()
    assert all(label.textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByMouse for label in texts)
    assert panel.card.next_steps.count() == len(panel.card.summary.suggestions) > 1
    assert not panel.card.picture.picture.pixmap().isNull()


def test_it_is_copied_as_text(panel, qtbot):
    qtbot.mouseClick(panel.copy, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text() == panel.card.summary.text


@pytest.mark.parametrize(
    ("name", "chosen"), [("page.pdf", "PDF (*.pdf)"), ("page.png", ""), ("page", "Picture (*.png)")]
)
def test_it_is_saved_as_pdf_and_as_picture(panel, qtbot, tmp_path, monkeypatch, name, chosen):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / name), chosen))
    qtbot.mouseClick(panel.save, Qt.MouseButton.LeftButton)
    (written,) = tmp_path.glob("page*")
    if written.suffix == ".pdf":
        assert written.read_bytes().startswith(b"%PDF")
        return
    image = QImage(str(written))
    assert image.width() > 1000
    colours = {image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)}
    assert len(colours) > 20  # the map and the text


def test_a_place_that_cannot_be_written_is_told(panel, qtbot, tmp_path, monkeypatch, said):
    for name in ("page.pdf", "page.png"):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, name=name: (str(tmp_path / "no" / name), ""))
        qtbot.mouseClick(panel.save, Qt.MouseButton.LeftButton)
        assert f"{name}: the file cannot be written" in said[-1]


def test_the_other_hand_is_drawn_anew(panel, qtbot):
    before = panel.card.summary.picture
    panel.session.flip_hand(True)
    qtbot.waitUntil(lambda: (panel.card.summary.picture != before).any(), timeout=PATIENCE)


def test_while_a_run_goes_on_there_is_no_result(column, qtbot, told_run):
    panel = column.show_panel("Result")
    with told_run.driving():
        column.panel("Run").control.attach(told_run.path)
        qtbot.waitUntil(lambda: panel.session.live, timeout=PATIENCE)
        assert panel.is_empty
