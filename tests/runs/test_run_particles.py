"""A run knows its particles again, and no others."""

import dataclasses
import json

import numpy as np
import pytest

from napari_cryospin.io.open import open_particles
from napari_cryospin.particles import CtfParameters
from napari_cryospin.runs.folder import PARTICLES_MARK, RunFolder
from napari_cryospin.runs.run_particles import open_run_particles, remember
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS
from support.stacks import write_stack


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """Of a bare stack of six images."""
    write_stack(tmp_path / "a.mrcs", np.zeros((6, 16, 16), np.float32), 2.0)
    return RunFolder.create(tmp_path / "run", RunInput(particles=tmp_path / "a.mrcs", pixel_size=2.0), PRESETS["quick"])


def test_the_same_particles_are_opened_again_wherever_they_are(run, tmp_path):
    particles = open_run_particles(run)  # nothing is known of them yet
    remember(run, particles)
    remember(run, particles)
    (tmp_path / "moved").mkdir()
    moved = (tmp_path / "a.mrcs").rename(tmp_path / "moved" / "a.mrcs")
    with pytest.raises(FileNotFoundError):
        open_run_particles(run)
    run.move_input(dataclasses.replace(run.source, particles=moved))
    assert len(open_run_particles(run)) == 6


def test_other_particles_are_refused(run, tmp_path):
    particles = open_run_particles(run)
    remember(run, particles)
    turned = particles.select(np.arange(6)[::-1])
    with pytest.raises(ValueError, match=r"a.mrcs: found other images, or the same in another order: .* a new run"):
        remember(run, turned)
    write_stack(tmp_path / "a.mrcs", np.zeros((4, 16, 16), np.float32), 2.0)
    with pytest.raises(ValueError, match="found 4 particles, expected 6"):
        open_run_particles(run)
    (run.path / PARTICLES_MARK).write_text("{}")
    with pytest.raises(ValueError, match=r"particles.json: not written by a run, or damaged"):
        remember(run, open_particles(tmp_path / "a.mrcs", pixel_size=2.0))


def test_other_optics_are_refused_unless_the_run_is_of_a_version_that_knew_none(run):
    particles = open_run_particles(run)
    values = (15000, 14000, 0, 300, 2.7, 0.1, 0, 1, 0)
    names = [field.name for field in dataclasses.fields(CtfParameters)]
    columns = [np.full(len(particles), float(value)) for value in values]
    ctf = CtfParameters(**dict(zip(names, columns, strict=True)))
    particles = dataclasses.replace(particles, ctf=ctf)
    remember(run, particles)
    others = dataclasses.replace(particles, pixel_sizes=particles.pixel_sizes / 10)
    nearer = dataclasses.replace(particles, ctf=dataclasses.replace(ctf, voltage=ctf.voltage - 100))
    for changed in (others, nearer):
        with pytest.raises(ValueError, match=r"a\.mrcs: found other pixel sizes or CTF values: .* a new run"):
            remember(run, changed)
    known = json.loads((run.path / PARTICLES_MARK).read_text())
    del known["optics"]
    (run.path / PARTICLES_MARK).write_text(json.dumps(known))
    remember(run, others)
