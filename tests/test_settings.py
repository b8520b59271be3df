"""Settings: presets, ranges, what goes together, and the way through JSON."""

import dataclasses

import pytest

from napari_cryospin.settings import (
    PRESETS,
    EncoderSettings,
    PosteriorSettings,
    PreparationSettings,
    ScheduleSettings,
    Settings,
    VolumeSettings,
)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_come_back_from_json(name):
    settings = PRESETS[name]
    assert settings.preset == name
    assert Settings.from_json(settings.to_json()) == settings


def test_paper_presets_add_nothing_to_the_paper():
    for name in ("paper-synthetic", "paper-experimental", "paper-cpu"):
        settings = PRESETS[name]
        assert (settings.volume.volume_update, settings.schedule.pose_update) == ("adam", "adam")
        assert settings.posterior == PosteriorSettings()
        assert (settings.volume.padding, settings.schedule.pose_steps, settings.schedule.batch_size) == (1, 5, 64)
    assert PRESETS["paper-synthetic"].volume == PRESETS["paper-experimental"].volume == VolumeSettings()
    # What docs/method.md says that small stacks on a CPU need beside it, and no more.
    paper, cpu = PRESETS["paper-synthetic"], PRESETS["paper-cpu"]
    assert cpu.volume == VolumeSettings(first_band=4, growth_steps=2000)
    assert cpu.schedule == dataclasses.replace(paper.schedule, epochs=80, switch=70)
    assert cpu.encoder == dataclasses.replace(
        paper.encoder, heads=15, trunk="small", encoder_box=32, encoder_learning_rate=1e-3
    )


@pytest.mark.parametrize(
    ("group", "values", "text"),
    [
        (EncoderSettings, {"heads": 0}, "heads is 0; expected 1 to 64"),
        (PreparationSettings, {"box": 33}, "box is 33; expected an even number"),
        (PreparationSettings, {"cache": -1.0}, "cache is -1.0"),
        (ScheduleSettings, {"switch": 0}, "switch is 0"),
    ],
)
def test_values_out_of_range(group, values, text):
    field = {EncoderSettings: "encoder", PreparationSettings: "preparation", ScheduleSettings: "schedule"}[group]
    with pytest.raises(ValueError, match=text):
        Settings(**{field: group(**values)})


def test_unknown_fields_are_refused():
    with pytest.raises(ValueError, match="colour"):
        Settings.from_json('{"encoder": {"colour": 3}}')


def test_what_does_not_go_together_is_refused_before_a_run():
    """Not at the switch, hours later."""
    quick, paper = PRESETS["quick"], PRESETS["paper-cpu"]
    for settings, changes in (
        (paper, {"volume": VolumeSettings(volume_update="wiener")}),
        (quick, {"schedule": ScheduleSettings(pose_update="adam")}),
    ):
        with pytest.raises(ValueError, match="expected wiener with gauss-newton, or adam twice"):
            dataclasses.replace(settings, **changes)
    for settings, changes in ((paper, {}), (quick, {"posterior": PosteriorSettings()})):
        with pytest.raises(ValueError, match="method is search; expected volume_update wiener and posterior_sample"):
            dataclasses.replace(settings, method="search", **changes)
    assert dataclasses.replace(quick, method="search").method == "search"
