"""The symmetry of a run in the window: what it looks like is told; imposed and relaxed by buttons, with a question."""

import dataclasses

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_cryospin.io.mrc import write_map
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Status
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from napari_cryospin.widgets.run.panel import RunPanel
from napari_cryospin.widgets.run.symmetry_box import SymmetryBox, advised_group
from napari_cryospin.widgets.session.session import session_of
from support.simulated import symmetric_phantom

PATIENCE = 120_000  # ms: a busy machine


@pytest.fixture
def answers(monkeypatch):
    """What the user is asked, and answers: the last of `give`."""
    asked, give = [], [QMessageBox.StandardButton.Yes]

    def ask(parent, title, text, *others):
        asked.append(text)
        return give[-1]

    monkeypatch.setattr(QMessageBox, "question", ask)
    return asked, give


def status(**values) -> Status:
    return Status(**{"state": "running", "symmetry": "C1", **values})


def test_what_a_map_looks_like_is_offered(qtbot, answers):
    asked, give = answers
    box = SymmetryBox()
    qtbot.addWidget(box)
    box.show()
    chosen = []
    box.chosen.connect(chosen.append)
    box.show_state(status(), possible=True, requested=False)
    assert box.text.text() == "Symmetry C1"
    assert not box.impose.isEnabled()
    assert not box.relax.isVisible()
    box.show_state(status(looks_like="looks like C3 (0.98)"), possible=True, requested=False)
    assert box.text.text() == "Symmetry C1: looks like C3 (0.98)"
    assert box.group.text() == "C3"
    give.append(QMessageBox.StandardButton.No)
    qtbot.mouseClick(box.impose, Qt.MouseButton.LeftButton)
    assert asked[-1].startswith("Impose C3 on this run? Its map looks like C3 (0.98).")
    assert not chosen
    give.append(QMessageBox.StandardButton.Yes)
    qtbot.mouseClick(box.impose, Qt.MouseButton.LeftButton)
    assert chosen == ["C3"]
    box.show_state(status(symmetry="C3"), possible=True, requested=False)
    qtbot.mouseClick(box.relax, Qt.MouseButton.LeftButton)
    assert asked[-1].startswith("Relax C3?")
    assert chosen == ["C3", "C1"]


def test_a_symmetry_that_is_looked_for_can_be_forgotten(qtbot, answers):
    box, chosen = SymmetryBox(), []
    qtbot.addWidget(box)
    box.show()
    box.chosen.connect(chosen.append)
    box.show_state(status(looks_like="O is looked for (0.41 of 0.7)"), possible=True, requested=False)
    assert box.text.text() == "Symmetry C1: O is looked for (0.41 of 0.7)"
    assert not box.group.text()
    qtbot.mouseClick(box.relax, Qt.MouseButton.LeftButton)
    assert answers[0][-1].startswith("Go on without O?")
    assert chosen == ["C1"]
    box.show_state(status(), possible=True, requested=False)
    assert not box.relax.isVisible()


def test_another_group_is_typed_and_stays(qtbot):
    box = SymmetryBox()
    qtbot.addWidget(box)
    box.show()
    box.show_state(status(looks_like="looks like C3 (0.98)"), possible=True, requested=False)
    box.group.clear()
    qtbot.keyClicks(box.group, "d7")
    box.show_state(status(looks_like="looks like C3 (0.98)"), possible=True, requested=False)
    assert box.group.text() == "d7"
    assert box.impose.isEnabled()
    qtbot.keyClicks(box.group, "x")
    assert not box.impose.isEnabled()
    box.show_state(status(), possible=True, requested=True)
    assert box.text.text() == "Symmetry C1: change requested..."
    assert not box.impose.isEnabled()
    box.show_state(status(state="finished"), possible=False, requested=False)
    assert not box.group.isVisible()
    box.show_state(None, possible=False, requested=False)
    assert not box.isVisible()


def test_the_group_in_the_engine_s_words():
    assert advised_group("looks like C3 (0.98)") == "C3"
    assert advised_group("looks nearly like I2 (0.80)") == "I2"
    assert advised_group("") == ""


@pytest.fixture
def symmetric_run(tmp_path):
    """A run of a molecule with the symmetry D3, which begins without it and does not switch."""
    write_map(tmp_path / "d3.mrc", symmetric_phantom(32, "D3", 3).numpy(), 3.0)
    files = write_simulation(tmp_path / "d3.mrc", tmp_path / "d3", SimulationSettings(count=200, box=32, snr=2.0))
    quick = PRESETS["quick"]
    settings = dataclasses.replace(
        quick,
        schedule=dataclasses.replace(quick.schedule, epochs=1000, switch="by-hand"),
        machine=dataclasses.replace(quick.machine, device="cpu", threads=1, snapshot_every=0.2),
    )
    return RunFolder.create(tmp_path / "run", RunInput(particles=files.particles), settings)


@pytest.mark.slow
def test_a_run_is_told_by_clicks(viewer, qtbot, symmetric_run, answers):
    session = session_of(viewer)
    panel = RunPanel(viewer)
    qtbot.addWidget(panel)
    panel.show()
    session.start(symmetric_run)
    box = panel.symmetry
    qtbot.waitUntil(lambda: "D3 (" in box.text.text() and box.impose.isEnabled(), timeout=PATIENCE)
    qtbot.mouseClick(box.impose, Qt.MouseButton.LeftButton)
    assert "requested" in box.text.text()
    qtbot.waitUntil(lambda: box.text.text() == "Symmetry D3", timeout=PATIENCE)
    assert any(event.kind == "symmetry" for event in session.events)
    box.group.clear()
    qtbot.keyClicks(box.group, "O")
    qtbot.mouseClick(box.impose, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: "symmetry was refused: the map does not look like O" in panel.state.message.text(), timeout=PATIENCE
    )
    qtbot.mouseClick(box.relax, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: box.text.text().startswith("Symmetry C1"), timeout=PATIENCE)
    panel.stop.click()
    qtbot.waitUntil(lambda: session.status.state == "stopped", timeout=PATIENCE)
