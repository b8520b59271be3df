"""The table of methods: its rows, and what one more row and one class are enough for."""

import copy
import dataclasses

import numpy as np
import pytest

from napari_cryospin.engine.auto_decoding import ClosedFormDecoding, GradientDecoding
from napari_cryospin.engine.methods import METHODS, Method, register, unregister
from napari_cryospin.engine.proposers import Heads, PosteriorSample
from napari_cryospin.engine.reconstruction import Reconstruction
from napari_cryospin.engine.volume_steps import AdamStep, WienerStep
from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.particles import Particles
from napari_cryospin.settings import PRESETS, Settings, fields_of
from support.toy_method import GUESSING

COUNT = 40


@pytest.fixture(scope="module")
def particles(make_phantom, simulate) -> Particles:
    return simulate(make_phantom(16), count=COUNT, snr=2.0, seed=4).particles


def tiny(preset: str, method: str) -> Settings:
    settings = PRESETS[preset]
    schedule = dataclasses.replace(settings.schedule, epochs=4, decoding_epochs=None, switch=2, batch_size=20)
    return dataclasses.replace(
        settings,
        method=method,
        encoder=dataclasses.replace(settings.encoder, heads=2, shifts=False),
        schedule=schedule,
        machine=dataclasses.replace(settings.machine, device="cpu"),
    )


def test_every_description_has_its_row():
    assert {name: method.description for name, method in METHODS.items()} == DESCRIPTIONS
    assert list(METHODS)[:3] == ["cryospin", "fully-amortized", "search"]
    assert {*METHODS} >= {"cryoposenet", "cryoai", "cryoai-explicit", "hierarchical", "known-poses", "em"}


@pytest.mark.parametrize(
    ("preset", "method", "proposers", "volume_step", "second_stage"),
    [
        ("quick", "cryospin", [Heads, PosteriorSample], WienerStep, ClosedFormDecoding),
        ("paper-cpu", "cryospin", [Heads], AdamStep, GradientDecoding),
        ("paper-cpu", "fully-amortized", [Heads], AdamStep, None),
        ("quick", "search", [PosteriorSample], WienerStep, ClosedFormDecoding),
    ],
)
def test_a_row_names_the_parts_that_run(preset, method, proposers, volume_step, second_stage, particles):
    reconstruction = Reconstruction(particles, tiny(preset, method))
    (stage,) = reconstruction.first_stages
    assert [type(proposer) for proposer in stage.proposers] == proposers
    assert type(stage.volume_step) is volume_step
    while not reconstruction.finished:
        reconstruction.advance()
    if second_stage is None:
        assert reconstruction.stage == "auto-encoding"
    else:
        assert type(reconstruction.stages[0]) is second_stage
        assert reconstruction.switched_at == 2  # by itself


@pytest.mark.parametrize("preset", ["quick", "paper-cpu"])
def test_a_method_of_one_row_and_one_class_runs(preset, particles, guessing):
    """With either volume, through both stages, to results; without any other change."""
    reconstruction = Reconstruction(particles, tiny(preset, "guessing"))
    losses = []
    while not reconstruction.finished:
        losses.append(reconstruction.advance()["loss"])
        if reconstruction.epoch == 1 and reconstruction.epoch_ended:
            fit = reconstruction.fits[0]
            assert sorted(fit.particles.winner.unique().tolist()) == [0, 1, 2]
    assert np.isfinite(losses).all()
    assert reconstruction.stage == "auto-decoding"
    assert reconstruction.results().particles.rotations.shape == (COUNT, 3, 3)


def test_a_resumed_run_of_such_a_method_goes_on_as_if_never_stopped(particles, guessing):
    settings = tiny("paper-cpu", "guessing")
    whole, resumed = Reconstruction(particles, settings), Reconstruction(particles, settings)
    for _ in range(3):
        whole.advance()
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    assert [resumed.advance() for _ in range(3)] == [whole.advance() for _ in range(3)]


def test_a_name_is_taken_once_and_a_row_is_of_one_mind(guessing):
    with pytest.raises(ValueError, match="method guessing: there is one of this name already"):
        register(guessing)
    description = dataclasses.replace(GUESSING, name="other", has_switch=False)
    with pytest.raises(ValueError, match="differ on whether it switches"):
        Method(description=description, proposers=lambda fit: [])


def test_heads_without_an_encoder_are_refused(particles):
    method = Method(description=dataclasses.replace(GUESSING, name="headless"), proposers=lambda fit: [Heads(fit)])
    register(method)
    try:
        with pytest.raises(ValueError, match="heads without an encoder"):
            Reconstruction(particles, tiny("paper-cpu", "headless"))
    finally:
        unregister("headless")


def test_its_name_is_a_setting_as_long_as_it_is_in_the_table(guessing):
    settings = tiny("quick", "guessing")
    assert Settings.from_json(settings.to_json()) == settings
    field = fields_of(Settings)["method"]
    assert field.choices == (*METHODS,)
    assert field.choices[-1] == "guessing"
    assert field.help.endswith("guessing: the best of three guesses.")
    with pytest.raises(ValueError, match=r"method is 'gessing'; expected .*guessing \(did you mean guessing\?\)"):
        tiny("quick", "gessing")
    unregister("guessing")
    try:
        with pytest.raises(ValueError, match="method is 'guessing'; expected cryospin, fully-amortized, search"):
            Settings.from_json(settings.to_json())
    finally:
        register(guessing)
