"""What tests of the window share: choices and caches of their own, tiny particles, a tiny run, waiting."""

import dataclasses
from pathlib import Path

import pytest
from qtpy.QtCore import QSettings

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS, Settings
from napari_cryospin.widgets import preferences, samples
from napari_cryospin.widgets.session import Session

DATA = Path(samples.DATA)


@pytest.fixture(autouse=True)
def own_choices(tmp_path, monkeypatch):
    """Nothing is remembered from one test to the next, and nothing goes to the user's folders."""
    path = str(tmp_path / "choices")
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    preferences.remember("run folder", str(tmp_path / "runs"))
    monkeypatch.setattr(samples, "COUNT", 40)


@pytest.fixture
def session(qtbot):
    """A session that watches no run."""
    session = Session()
    yield session
    session.close()


@pytest.fixture(scope="session")
def tiny_particles(tmp_path_factory):
    """Files of 60 particles of 32 px, with their truth."""
    from napari_cryospin.evaluation.simulation import simulate
    from napari_cryospin.physics.simulate import SimulationSettings

    settings = SimulationSettings(count=60, box=32, snr=1.0)
    return simulate(DATA / "spliceosome_64.mrc", tmp_path_factory.mktemp("tiny") / "tiny", settings)


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
    from napari_cryospin.inference.run import reconstruct

    path = tmp_path_factory.mktemp("finished") / "run"
    schedule = dataclasses.replace(tiny_settings.schedule, switch=2)
    settings = dataclasses.replace(tiny_settings, schedule=schedule)
    folder = RunFolder.create(path, RunInput(particles=tiny_particles.particles), settings)
    reconstruct(folder)
    return folder


@pytest.fixture
def new_run(tiny_particles, tiny_settings, tmp_path) -> RunFolder:
    """The folder of a run that nobody has begun to drive."""
    return RunFolder.create(tmp_path / "new", RunInput(particles=tiny_particles.particles), tiny_settings)
