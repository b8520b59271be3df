"""Particles are opened in the background and judged; what is wrong is said in a notification."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QPushButton

from napari_cryospin.advice import Advice
from napari_cryospin.checks import preflight
from napari_cryospin.widgets.particles import opener, samples
from napari_cryospin.widgets.particles.card import in_window
from napari_cryospin.widgets.particles.panel import ParticlesPanel
from napari_cryospin.widgets.session.docks import reveal
from napari_cryospin.widgets.session.session import session_of
from support.stacks import write_stack

PATIENCE = 30_000  # ms: a busy machine


@pytest.fixture
def panel(viewer, qtbot):
    panel = ParticlesPanel(viewer)
    qtbot.addWidget(panel)
    return panel


def wait_for_card(qtbot, panel):
    qtbot.waitUntil(lambda: bool(panel.card.rows["particles"].text()) and panel.busy.isHidden(), timeout=PATIENCE)


def test_particles_are_opened_judged_and_shown(panel, qtbot, tiny_particles):
    assert not panel.area.isHidden()
    panel.open_files([tiny_particles.particles])
    assert "Opening tiny.star" in panel.busy.text()
    wait_for_card(qtbot, panel)
    assert panel.area.isHidden()
    assert panel.card.rows["particles"].text() == "60"
    assert panel.card.rows["box"].text() == "32 px of 17.32 Å"
    assert "protein white" in panel.card.rows["contrast"].text()
    assert panel.card.verdict.text() == "Ready for a run"
    assert panel.session.truth == tiny_particles.truth
    qtbot.waitUntil(lambda: len(panel.gallery.mosaic.pictures) == 12, timeout=PATIENCE)
    for kind, made in panel.gallery.buttons.items():
        made.click()
        assert panel.gallery.kind == kind
    panel.gallery.following.click()
    qtbot.waitUntil(lambda: list(panel.gallery.rows) == [*range(12, 24)], timeout=PATIENCE)
    assert panel.gallery.where.text().startswith("13 to 24 of")  # People count rows from 1.
    assert panel.gallery.mosaic.caption(12) == "13"
    panel.gallery.mosaic.clicked.emit(15)
    assert panel.session.particle == 15


def test_the_card_of_other_particles_is_in_sight(viewer, qtbot, tiny_particles, monkeypatch):
    panel = reveal(viewer, "Particles")
    column = panel.window()
    column.resize(1000, 500)
    column.show()
    chosen = ([str(tiny_particles.particles)], "")
    monkeypatch.setattr(opener.QFileDialog, "getOpenFileNames", lambda *_: chosen)
    open_button = next(one for one in panel.findChildren(QPushButton) if one.text() == "Open...")
    open_button.click()
    bar = panel.scroll_area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0 and panel.busy.isHidden(), timeout=PATIENCE)
    bar.setValue(bar.maximum())
    with qtbot.waitSignal(panel.opener.opened, timeout=PATIENCE):
        open_button.click()
    wait_for_card(qtbot, panel)
    qtbot.wait(50)
    assert bar.value() == 0


def test_the_card_speaks_of_the_window_and_not_of_the_command_line():
    missing = Advice("1 of 2 stacks missing", "data_dir", details=": a A.mrcs")
    said = "1 of 2 stacks missing (Find folder..., in the Particles panel): a A.mrcs\nsays 0 Å; 3.5 Å is used"
    assert in_window([missing, "says 0 A; 3.5 A is used"]) == said


def test_what_is_advised_is_named_as_the_window_has_it(panel, qtbot, tiny_particles, tmp_path):
    folder = Path(shutil.copytree(tiny_particles.stack.parent, tmp_path / "moved"))
    stack, particles = folder / tiny_particles.stack.name, folder / tiny_particles.particles.name
    gone = stack.rename(tmp_path / "gone.mrcs")
    panel.open_files([particles])
    wait_for_card(qtbot, panel)
    assert "1 of 1 stacks missing (Find folder..., in the Particles panel):" in panel.card.problems.text()
    assert not panel.card.find_folder.isHidden()
    assert not panel.card.save_list.isHidden()
    gone.rename(stack)
    panel.opener.open_source(opener.RunInput(particles=stack, pixel_size=17.32))
    qtbot.waitUntil(lambda: "CTF is off" in panel.card.notes.text(), timeout=PATIENCE)
    assert "a bare stack says nothing of it (Add..., in the Particles panel)" in panel.card.notes.text()
    assert panel.card.find_folder.isHidden()
    assert panel.card.save_list.isHidden()
    panel.form.knobs["box"].number.native.setValue(64)
    qtbot.waitUntil(lambda: "(box, in the Particles panel)" in panel.card.problems.text(), timeout=PATIENCE)
    assert "--" not in panel.card.problems.text() + panel.card.notes.text()


def test_no_line_of_the_card_is_cut(panel, qtbot, tiny_particles):
    panel.open_files([tiny_particles.particles])
    wait_for_card(qtbot, panel)
    panel.resize(330, 400)
    panel.show()
    qtbot.waitUntil(lambda: panel.card.width() > 100)
    rows = panel.card.rows.values()
    qtbot.waitUntil(lambda: all(row.height() >= row.heightForWidth(row.width()) for row in rows))
    assert any(row.height() > 1.5 * row.fontMetrics().height() for row in rows)  # some take two lines


def test_a_choice_changes_the_card_and_the_next_run(panel, qtbot, tiny_particles):
    panel.open_files([tiny_particles.particles])
    wait_for_card(qtbot, panel)
    panel.form.knobs["box"].number.native.setValue(24)
    panel.form.knobs["subset"].number.native.setValue(50)
    qtbot.waitUntil(lambda: "of which 50 are used" in panel.card.rows["particles"].text(), timeout=PATIENCE)
    assert "24 px" in panel.card.rows["used as"].text()
    preparation = panel.session.settings.preparation
    assert (preparation.box, preparation.subset) == (24, 50)
    panel.form.knobs["box"].number.native.setValue(25)
    assert "even number" in panel.complaint.text()
    assert panel.session.settings.preparation.box == 24
    panel.form.knobs["box"].number.native.setValue(64)
    qtbot.waitUntil(lambda: "larger than the particles' 32 px" in panel.card.problems.text(), timeout=PATIENCE)
    assert panel.card.verdict.text() == "Not ready for a run"
    panel.open_files([tiny_particles.particles])  # choices for one set do not hold for another
    qtbot.waitUntil(lambda: panel.session.settings.preparation.box is None, timeout=PATIENCE)


def test_dark_protein_is_told_and_inverted_by_one_click(panel, qtbot, tmp_path, tiny_particles):
    particles = tiny_particles.stack
    dark = tmp_path / "dark.mrcs"
    write_stack(dark, -np.fromfile(particles, "<f4", offset=1024).reshape(-1, 32, 32), 17.32)
    panel.opener.open_source(opener.RunInput(particles=dark, pixel_size=17.32))
    wait_for_card(qtbot, panel)
    assert "protein black" in panel.card.rows["contrast"].text()
    assert "invert the contrast" in panel.card.verdict.text()
    assert "Ready" not in panel.card.verdict.text()
    assert not panel.card.invert.isHidden()
    panel.card.invert.click()
    qtbot.waitUntil(lambda: "protein white" in panel.card.rows["contrast"].text(), timeout=PATIENCE)
    qtbot.waitUntil(lambda: panel.card.verdict.text() == "Ready for a run", timeout=PATIENCE)
    assert panel.session.settings.preparation.invert_contrast
    assert panel.gallery.sign == -1


def test_bad_images_are_told_and_left_out_by_one_click(panel, qtbot, tmp_path, tiny_particles):
    images = np.fromfile(tiny_particles.stack, "<f4", offset=1024).reshape(-1, 32, 32).copy()
    images[4], images[9, 0, 0] = 0, np.nan
    images[20, 16, 16] = 1e5
    write_stack(tmp_path / "bad.mrcs", images, 17.32)
    panel.opener.open_source(opener.RunInput(particles=tmp_path / "bad.mrcs", pixel_size=17.32))
    wait_for_card(qtbot, panel)
    card = panel.card
    offer = "Leave out images that cannot be used"
    said = f"2 images cannot be used; mend or leave out ({offer}, in the Particles panel): particle 5 (image 5"
    assert said in card.problems.text()
    assert card.rows["images"].text() == "all 60 looked at"
    assert "hot or dead pixels in 1 of 60 images (1 pixel)" in card.notes.text()
    assert card.leave_out.text() == offer
    assert not card.leave_out.isHidden()
    card.leave_out.click()
    qtbot.waitUntil(lambda: card.verdict.text() == "Ready for a run", timeout=PATIENCE)
    assert panel.session.settings.preparation.leave_out_bad
    assert "2 images cannot be used and left out: particle 5" in card.notes.text()
    assert "of which 58 are used" in card.rows["particles"].text()
    card.leave_out.click()
    qtbot.waitUntil(lambda: card.verdict.text() == "Not ready for a run", timeout=PATIENCE)
    panel.open_files([tiny_particles.particles])  # the choice does not hold for other particles
    qtbot.waitUntil(lambda: card.leave_out.isHidden(), timeout=PATIENCE)
    assert not panel.session.settings.preparation.leave_out_bad


def test_images_are_looked_at_once(panel, qtbot, tiny_particles, monkeypatch):
    looked, survey = [], preflight.survey_images
    monkeypatch.setattr(preflight, "survey_images", lambda *arguments: looked.append(1) or survey(*arguments))
    panel.open_files([tiny_particles.particles])
    wait_for_card(qtbot, panel)
    panel.form.knobs["subset"].number.native.setValue(50)
    qtbot.waitUntil(lambda: "of which 50 are used" in panel.card.rows["particles"].text(), timeout=PATIENCE)
    assert len(looked) == 1


def test_a_stack_alone_asks_for_its_pixel_size(panel, qtbot, tmp_path):
    path = tmp_path / "alone.mrcs"
    write_stack(path, np.random.default_rng(0).normal(size=(20, 32, 32)), 1.0)
    panel.open_files([path])
    qtbot.waitUntil(lambda: not panel.question.isHidden(), timeout=PATIENCE)
    assert not panel.question.ok.isEnabled()  # the header's 1.0 is no offer
    panel.question.size_edit.setValue(2.5)
    panel.question.ok.click()
    wait_for_card(qtbot, panel)
    assert panel.session.particles.pixel_sizes[0] == 2.5
    assert panel.card.rows["CTF"].text() == "off"


def test_a_star_file_that_says_no_pixel_size_asks_for_it(panel, qtbot, tiny_particles):
    path = tiny_particles.particles.with_name("no_size.star")
    path.write_text(tiny_particles.particles.read_text().replace("rlnImagePixelSize", "rlnPixelSize"))
    panel.open_files([path])
    qtbot.waitUntil(lambda: not panel.question.isHidden(), timeout=PATIENCE)
    assert panel.question.text.text() == "no_size.star says no pixel size. What is that of its images?"
    assert not panel.question.ok.isEnabled()
    panel.question.size_edit.setValue(2.5)
    panel.question.ok.click()
    wait_for_card(qtbot, panel)
    assert panel.session.particles.pixel_sizes[0] == 2.5
    assert "defocus" in panel.card.rows["CTF"].text()


def test_all_missing_stacks_are_listed_in_a_file(panel, qtbot, tmp_path, tiny_particles, monkeypatch, said):
    """The card shows ten of them."""
    lines = tiny_particles.particles.read_text().splitlines(keepends=True)
    numbers = iter(range(60))
    moved = [line.replace("@tiny.mrcs", f"@a/{next(numbers):02d}.mrcs") if "@tiny" in line else line for line in lines]
    star = tmp_path / "many.star"
    star.write_text("".join(moved))
    panel.open_files([star])
    qtbot.waitUntil(lambda: "60 of 60 stacks missing" in panel.card.problems.text(), timeout=PATIENCE)
    assert "59.mrcs" not in panel.card.problems.text()
    asked = "napari_cryospin.widgets.particles.missing_list.QFileDialog.getSaveFileName"
    monkeypatch.setattr(asked, lambda *_: ("", ""))
    panel.card.save_list.click()
    assert not said
    monkeypatch.setattr(asked, lambda *_: (str(tmp_path / "list.txt"), "*.txt"))
    panel.card.save_list.click()
    names = (tmp_path / "list.txt").read_text().splitlines()
    assert [Path(name).name for name in names] == [f"{number:02d}.mrcs" for number in range(60)]
    assert said[-1] == f"60 missing stacks are listed in {tmp_path / 'list.txt'}"
    monkeypatch.setattr(asked, lambda *_: (str(tmp_path / "absent" / "list.txt"), "*.txt"))
    panel.card.save_list.click()
    assert "No such file" in said[-1]


def test_missing_stacks_are_found_in_another_folder(panel, qtbot, tmp_path, tiny_particles, monkeypatch, said):
    star = tmp_path / "moved" / "tiny.star"
    star.parent.mkdir()
    text = tiny_particles.particles.read_text()
    star.write_text(
        text.replace(str(tiny_particles.stack), "elsewhere/tiny.mrcs").replace("@tiny.mrcs", "@a/tiny.mrcs")
    )
    panel.open_files([star])
    qtbot.waitUntil(lambda: "missing" in panel.card.problems.text(), timeout=PATIENCE)
    qtbot.waitUntil(lambda: "No images to show" in panel.gallery_message.text(), timeout=PATIENCE)
    assert not panel.card.find_folder.isHidden()
    monkeypatch.setattr(opener.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    panel.card.find_folder.click()
    qtbot.waitUntil(lambda: any("not in this folder: tiny.mrcs" in text for text in said), timeout=PATIENCE)
    folder = str(tiny_particles.stack.parent)
    monkeypatch.setattr(opener.QFileDialog, "getExistingDirectory", lambda *_: folder)
    panel.card.find_folder.click()
    qtbot.waitUntil(lambda: panel.card.verdict.text() == "Ready for a run", timeout=PATIENCE)
    assert panel.session.source.data_dir == Path(folder)


@pytest.mark.parametrize("name", ["notes.txt", "torn.star", "absent.star", "short.mrcs"])
def test_a_wrong_file_is_told_without_a_traceback(panel, qtbot, tmp_path, said, name):
    path = tmp_path / name
    if name != "absent.star":
        path.write_text("nothing of use " * 100)
    panel.open_files([path])
    qtbot.waitUntil(lambda: bool(said), timeout=PATIENCE)
    assert name in said[-1]
    assert "Traceback" not in said[-1]
    assert panel.session.particles is None
    assert panel.busy.isHidden()
    assert not panel.area.isHidden()


def drop(panel, *paths):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    action, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    panel.dropEvent(QDropEvent(QPointF(9, 9), action, data, Qt.MouseButton.LeftButton, none))


def test_files_and_runs_can_be_dropped(viewer, qtbot, tiny_particles, finished_run):
    panel = reveal(viewer, "Particles")
    drop(panel, tiny_particles.particles)
    wait_for_card(qtbot, panel)
    drop(panel, finished_run.path)
    assert panel.session.folder.path == finished_run.path
    qtbot.waitUntil(lambda: panel.session.status is not None, timeout=PATIENCE)
    assert reveal(viewer, "Run").control.standing == "finished"
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=PATIENCE)  # its map


def test_napari_opens_particles_in_the_workspace_and_as_a_layer(viewer, qtbot, tiny_particles, said):
    assert viewer.open(tiny_particles.particles, plugin="napari-cryospin") == []
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=PATIENCE)
    assert viewer.layers[0].data.shape == (60, 32, 32)
    assert session_of(viewer).source.particles == tiny_particles.particles


def test_napari_opens_a_run(viewer, qtbot, finished_run):
    assert viewer.open(finished_run.path, plugin="napari-cryospin") == []
    qtbot.waitUntil(lambda: session_of(viewer).snapshot is not None, timeout=PATIENCE)
    qtbot.waitUntil(lambda: "cryoSPIN map" in viewer.layers, timeout=PATIENCE)
    qtbot.wait(200)  # it is drawn before the window goes


@pytest.mark.parametrize("key", samples.SAMPLES)
def test_a_sample_opens_with_its_truth(viewer, qtbot, key):
    (layer,) = viewer.open_sample("napari-cryospin", key)
    assert layer.data.shape == (64, 64, 64)
    assert not layer.visible
    session = session_of(viewer)
    panel = reveal(viewer, "Particles")
    assert "Simulating" in panel.busy.text()
    qtbot.waitUntil(lambda: session.particles is not None, timeout=PATIENCE)
    assert len(session.particles) == 40
    assert session.truth.name == f"{key}_40_truth.star"
    assert session.particles.rotations is None  # the run does not know the truth
