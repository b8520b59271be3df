"""What tests of the window share: choices and caches of their own, tiny particles, a tiny run, waiting."""

import dataclasses
import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QSettings
from scipy.spatial.transform import Rotation

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Event, Status
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS, Settings
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
from napari_cryospin.widgets.kit import preferences
from napari_cryospin.widgets.particles import samples
from napari_cryospin.widgets.session.session import Session, _sessions, session_of
from support.records import epoch_record, particle_record


@pytest.fixture(autouse=True)
def own_choices(tmp_path, monkeypatch):
    """Nothing is remembered from one test to the next, and nothing goes to the user's folders."""
    path = str(tmp_path / "choices")
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    preferences.remember_choice("run folder", str(tmp_path / "runs"))
    monkeypatch.setattr(samples, "SAMPLE_IMAGES", 40)
    yield
    gc.collect()  # napari's fixture asks that no viewer is left, and looks at young garbage only
    gc.freeze()  # What is left now is there to stay: the next test need not look through it again.


@pytest.fixture
def make_napari_viewer(make_napari_viewer):
    """napari's, whose sessions are closed before their viewers: an answer that comes late finds nothing to draw on."""
    made = []

    def make(*arguments, **keywords):
        viewer = make_napari_viewer(*arguments, **keywords)
        made.append(weakref.ref(viewer))
        return viewer

    yield make
    for viewer in made:
        session = None if viewer() is None else _sessions.get(viewer())
        if session is not None:
            session.close()


@pytest.fixture
def said():
    """What napari's notifications said, newest last."""
    texts = []

    def hear(notification):
        texts.append(notification.message)

    notification_manager.notification_ready.connect(hear)
    yield texts
    notification_manager.notification_ready.disconnect(hear)


@pytest.fixture
def viewer(make_napari_viewer):
    """A viewer; a run that goes on in it is ended."""
    viewer = make_napari_viewer()
    yield viewer
    session = session_of(viewer)
    session.close()
    if session.thread_of_run is not None:
        session.thread_of_run.join(30)


@pytest.fixture
def session(qtbot):
    """A session that watches no run."""
    session = Session()
    yield session
    session.close()


@pytest.fixture(scope="session")
def tiny_particles(tmp_path_factory):
    """Files of 60 particles of 32 px, with their truth."""
    from napari_cryospin.simulation.files import write_simulation
    from napari_cryospin.simulation.images import SimulationSettings

    settings = SimulationSettings(count=60, box=32, snr=1.0)
    return write_simulation(SAMPLE_MAPS["spliceosome"], tmp_path_factory.mktemp("tiny") / "tiny", settings)


@pytest.fixture(scope="session")
def tiny_settings() -> Settings:
    """A run that takes seconds; the switch is made by hand."""
    quick = PRESETS["quick"]
    return dataclasses.replace(
        quick,
        encoder=dataclasses.replace(quick.encoder, heads=2, encoder_box=16, encoder_batch=20, shifts=False),
        volume=dataclasses.replace(quick.volume, first_band=3, encoding_band=5, growth_steps=2),
        schedule=dataclasses.replace(quick.schedule, epochs=4, decoding_epochs=2, switch="by-hand", batch_size=20),
        posterior=dataclasses.replace(quick.posterior, search_at_switch=False, mates=False),
        machine=dataclasses.replace(quick.machine, device="cpu", snapshot_every=0.2),
    )


@pytest.fixture(scope="session")
def finished_run(tiny_particles, tiny_settings, tmp_path_factory) -> RunFolder:
    """A run that went from beginning to end; do not write into it."""
    from napari_cryospin.driving.run import drive_run

    path = tmp_path_factory.mktemp("finished") / "run"
    schedule = dataclasses.replace(tiny_settings.schedule, switch=2)
    settings = dataclasses.replace(tiny_settings, schedule=schedule)
    folder = RunFolder.create(path, RunInput(particles=tiny_particles.particles), settings)
    drive_run(folder)
    return folder


@pytest.fixture
def new_run(tiny_particles, tiny_settings, tmp_path) -> RunFolder:
    """The folder of a run that nobody has begun to drive."""
    return RunFolder.create(tmp_path / "new", RunInput(particles=tiny_particles.particles), tiny_settings)


@pytest.fixture
def told_run(tmp_path) -> RunFolder:
    """A run that is made up: 400 particles, 3 heads, six epochs, the switch after the fourth, half sets none."""
    folder = RunFolder.create(tmp_path / "told", RunInput(particles=Path("p.star")), Settings())
    rotations = Rotation.random(400, random_state=0).as_matrix()
    best = np.digitize(rotations[:, 2, 2], [-0.3, 0.3])  # head 0 wins the south, 1 the equator, 2 the north
    share = np.bincount(best, minlength=3) / 400
    for epoch in range(1, 7):
        stage = "auto-encoding" if epoch < 5 else "auto-decoding"
        where = {"step": 10 * epoch, "epoch": epoch, "stage": stage, "elapsed": 30.0 * epoch}
        folder.append_metrics({**where, "step": 10 * epoch - 5, "epoch": epoch - 1, "loss": 9.0 / epoch})
        line = {**where, "loss": 8.0 / epoch, "resolution": 40.0 / epoch, "band": 2.0 * epoch, "entropy": 3.0 / epoch}
        line |= {f"head_share_{head}": float(one) for head, one in enumerate(share)} | {"sample_share": 0.25}
        line |= {"pose_change": 2.0} if epoch > 4 else {}
        folder.append_metrics({**line, "epoch_ended": True})
        record = particle_record(
            400, rows=np.arange(400) + 1000, rotations=rotations.astype(np.float32), best_head=best,
            winner=np.where(np.arange(400) % 4, best, 3), candidates=np.repeat(rotations[:, None], 3, 1),
            candidate_shifts=np.zeros((400, 3, 2)),
        )  # fmt: skip
        folder.write_history(epoch_record(epoch, record, box=16, pixel_size=4.0, stage=stage))
        folder.append_event(Event(kind="epoch", step=10 * epoch))
        if epoch == 4:
            folder.append_event(Event(kind="switched", step=40, detail={"epoch": 4}))
    snapshot = Snapshot(
        step=60, epoch=6, stage="auto-decoding", map=np.zeros((16, 16, 16)), pixel_size=4.0, band=8,
        noise=np.ones((1, 8)), max_shift=0.0, head_share=[*share, 0.25], loss=1.0,
        particles=particle_record(400, rows=np.arange(400) + 1000, rotations=rotations, winner=best),
        resolution=6.7, switch_ready=False, switch_reason="",
    )  # fmt: skip
    folder.write_snapshot(snapshot)
    folder.write_status(Status(state="running", stage="auto-decoding", step=60, epoch=6, epochs=10, progress=0.6))
    return folder
