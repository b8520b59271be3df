"""Settings: presets, types, choices, ranges, what goes together, and the way through JSON."""

import dataclasses
import inspect
import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.settings import (
    PRESETS,
    EncoderSettings,
    MachineSettings,
    PosteriorSettings,
    PreparationSettings,
    ScheduleSettings,
    Settings,
    VolumeSettings,
    fields_of,
)
from napari_cryospin.simulation.images import SimulationSettings

ROOT = Path(__file__).resolve().parents[1]
GROUPS = {field.name: field.group for field in fields_of(Settings).values() if field.group is not None}
PLACES = [("", name) for name in ("preset", "method")]
PLACES += [(group, name) for group, cls in GROUPS.items() for name in fields_of(cls)]
"""Group (empty: none) and name of every field."""

ALL_METHODS = " or ".join(", ".join(DESCRIPTIONS).rsplit(", ", 1))
WRONG = [
    ("", "method", "serach", f"method is 'serach'; expected {ALL_METHODS} (did you mean search?)"),
    ("volume", "volume_update", "weiner", "is 'weiner'; expected adam, implicit or wiener (did you mean wiener?)"),
    ("encoder", "trunk", "vgg", "encoder.trunk is 'vgg'; expected small or vgg16 (did you mean vgg16?)"),
    ("preparation", "noise", "whte", "is 'whte'; expected white or coloured (did you mean white?)"),
    ("schedule", "switch", "automtic", "is 'automtic'; expected by-hand, automatic or a whole number, 1 to 100000"),
    ("encoder", "heads", 7.5, "encoder.heads is 7.5; expected a whole number, 1 to 64"),
    ("volume", "padding", 1.5, "volume.padding is 1.5; expected a whole number, 1 to 2"),
    ("encoder", "shifts", "no", "encoder.shifts is 'no'; expected true or false"),
    ("encoder", "shifts", 1, "encoder.shifts is 1; expected true or false"),
    ("encoder", "heads", "7", "encoder.heads is '7'; expected a whole number, 1 to 64"),
    ("encoder", "heads", True, "encoder.heads is True; expected a whole number, 1 to 64"),
    ("encoder", "heads", None, "encoder.heads is None; expected a whole number, 1 to 64"),
    ("preparation", "cache", float("nan"), "preparation.cache is nan; expected a number, 0 to 10000 GiB"),
    ("preparation", "cache", float("inf"), "preparation.cache is inf; expected a number, 0 to 10000 GiB"),
    ("preparation", "box", 33, "preparation.box is 33; expected an even number, 16 to 1024 px, or None"),
    ("machine", "device", 0, "machine.device is 0; expected text"),
    ("", "encoder", 3, "encoder is 3; expected a group of settings: heads, trunk,"),
]
"""Group, field, a value that is not admitted, and what the error says of it."""


def written(group: str, name: str, value: object) -> str:
    """Write a settings.json that holds one field."""
    return json.dumps({group: {name: value}} if group else {name: value})


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
        (EncoderSettings, {"heads": 0}, "encoder.heads is 0; expected a whole number, 1 to 64"),
        (PreparationSettings, {"box": 33}, "box is 33; expected an even number"),
        (PreparationSettings, {"cache": -1.0}, "cache is -1.0; expected a number, 0 to 10000 GiB"),
        (ScheduleSettings, {"switch": 0}, "switch is 0; expected by-hand, automatic or a whole number, 1 to 100000"),
    ],
)
def test_values_out_of_range(group, values, text):
    with pytest.raises(ValueError, match=text):
        group(**values)
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(group(), **values)


@pytest.mark.parametrize(("group", "name", "value", "text"), WRONG)
def test_a_wrong_value_is_refused_on_every_way_in(group, name, value, text):
    settings = Settings()
    ways = [
        lambda: Settings.from_json(written(group, name, value)),
        lambda: Settings(**({group: {name: value}} if group else {name: value})),
        lambda: dataclasses.replace(getattr(settings, group) if group else settings, **{name: value}),
        lambda: GROUPS.get(group, Settings)(**{name: value}),
    ]
    for way in ways:
        with pytest.raises(ValueError) as error:
            way()
        assert type(error.value) is ValueError
        assert text in str(error.value)
        assert str(error.value).startswith("settings: ")
        assert str(error.value).count("\n") == 0


def test_one_error_names_all_that_is_wrong():
    text = '{"method": "serach", "encoder": {"heads": 7.5, "colour": 3, "trnk": "small"}, "antlers": {}}'
    with pytest.raises(ValueError) as error:
        Settings.from_json(text)
    assert [line.split(";")[0].strip() for line in str(error.value).splitlines()] == [
        "settings: method is 'serach'",
        "encoder.heads is 7.5",
        "encoder.colour is no setting",
        "encoder.trnk is no setting",
        "antlers is no setting",
    ]
    assert "(did you mean trunk?)" in str(error.value)


@pytest.mark.parametrize("arguments", [{"colour": 3}, {"heads": 3, "colour": 3}])
def test_unknown_fields_are_refused(arguments):
    for way in (EncoderSettings, lambda **given: dataclasses.replace(EncoderSettings(), **given)):
        with pytest.raises(ValueError, match=r"encoder\.colour is no setting; expected one of heads, trunk"):
            way(**arguments)
    with pytest.raises(ValueError, match=r"encoder\.3 is no setting"):
        Settings(encoder={3: 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found no JSON"),
        ("{", "found no JSON"),
        ('{"encoder": {"heads": 7', "found no JSON"),
        ("[]", "expected an object with preset"),
        ("null", "expected an object with preset"),
        ('{"encoder": []}', "encoder is .*; expected a group of settings: heads"),
    ],
)
def test_broken_json_is_one_clear_error(text, said):
    with pytest.raises(ValueError, match=said) as error:
        Settings.from_json(text)
    assert str(error.value).count("\n") == 0


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(0, 70) | st.floats() | st.floats(0, 2) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])  # It measures seconds.
@given(st.sampled_from(PLACES), JSON_VALUES)
@example(("encoder", "heads"), 8)
@example(("preparation", "cache"), 10**400)
@example(("encoder", "heads"), 8.0)
@example(("machine", "device"), "cuda:1")
@example(("schedule", "epochs"), 7)
@example(("posterior", "mates"), 0)
def test_any_value_is_refused_by_its_name_or_comes_back_unchanged(place, value):
    group, name = place
    try:
        settings = Settings.from_json(written(group, name, value))
    except ValueError as error:
        assert name in str(error)  # noqa: PT017 (either way is right)
        return
    kept = getattr(getattr(settings, group) if group else settings, name)
    assert kept == value
    assert isinstance(kept, bool) == isinstance(value, bool)
    again = json.loads(settings.to_json())
    assert (again[group] if group else again)[name] == value
    assert Settings.from_json(settings.to_json()) == settings
    assert {type(part) for part in all_values(settings)} <= {bool, int, float, str, type(None)}


def all_values(settings: Settings) -> list[object]:
    return [getattr(getattr(settings, group) if group else settings, name) for group, name in PLACES]


@given(st.sampled_from(PLACES), st.sampled_from(PLACES), st.data())
def test_any_two_admitted_values_go_together_or_are_named(first, second, data):
    """A rule between fields names one of those that were given."""
    values: dict = {}
    for group, name in (first, second):
        field = fields_of(GROUPS.get(group, Settings))[name]
        drawn = data.draw(admitted(field))
        (values.setdefault(group, {}) if group else values)[name] = drawn
    try:
        settings = Settings(**values)
    except ValueError as error:
        assert any(name in str(error) for _, name in (first, second))  # noqa: PT017
        assert "expected" in str(error)  # noqa: PT017
    else:
        assert Settings.from_json(settings.to_json()) == settings


def admitted(field) -> st.SearchStrategy:
    """Values that a field admits by itself."""
    low, high = field.range or (0, 0)
    by_kind = {
        bool: st.booleans(),
        str: st.text(),
        int: st.integers(int(low), int(high)).map(lambda number: number - number % 2 if field.even else number),
        float: st.floats(low, high),
    }
    kinds = [by_kind[kind] for kind in field.kinds]
    return st.one_of(*kinds, *map(st.just, field.choices), *[st.none()] * field.optional)


def test_whole_numbers_do_for_floats_and_stay_what_they_are():
    assert PreparationSettings(cache=2).cache == 2.0
    assert isinstance(PreparationSettings(cache=2).cache, float)
    with pytest.raises(dataclasses.FrozenInstanceError):
        PreparationSettings().cache = 3.0


def test_settings_of_version_0_1_still_read():
    text = (ROOT / "tests" / "data" / "settings_of_0.1.json").read_text()
    settings = Settings.from_json(text)
    assert settings == dataclasses.replace(
        PRESETS["quick"],
        method="search",
        preparation=PreparationSettings(
            box=64, mask_radius=80.0, subset=500, half_sets=True, invert_contrast=True, noise="white", cache=2.0
        ),
        encoder=dataclasses.replace(PRESETS["quick"].encoder, max_shift=12.5),
        schedule=dataclasses.replace(PRESETS["quick"].schedule, switch="by-hand"),
        # What that version did not have is off, whatever the preset says now.
        volume=dataclasses.replace(PRESETS["quick"].volume, scales="none", grow_further=False),
        posterior=dataclasses.replace(PRESETS["quick"].posterior, junk=False),
        machine=MachineSettings(device="cuda:0,cuda:1", threads=2, seed=7, snapshot_every=0.5),
    )
    before, now = json.loads(text), json.loads(settings.to_json())
    for name, value in before.items():
        kept = {field: now[name][field] for field in value} if isinstance(value, dict) else now[name]
        assert kept == value


@pytest.mark.parametrize("cls", [Settings, *GROUPS.values(), SimulationSettings])
def test_every_field_says_what_it_is(cls):
    """Help from the text beneath it; of a number, the range that forms and messages show."""
    for field in fields_of(cls).values():
        assert field.help.endswith((".", ")")), field.name
        assert field.expected
        if {int, float} & set(field.kinds):
            assert field.range is not None, field.name
            assert None not in field.range
        if field.group is None:
            assert f'"""{field.help[:20]}' in inspect.getsource(cls)
        else:
            assert field.group.__name__ == f"{field.name.capitalize()}Settings"  # messages derive the name


def test_the_page_of_settings_is_up_to_date():
    page = runpy.run_path(str(ROOT / "scripts" / "write_settings_page.py"))["page"]()
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == page, "run scripts/write_settings_page.py"
    for _, name in PLACES:
        assert f"| `{name}` | `--{name.replace('_', '-')}`" in page


def test_help_of_the_program_loads_neither_pydantic_nor_numpy():
    code = "import sys; from napari_cryospin.cli import main; main(['--help']); main(['--version'])"
    code += "\nassert not {'pydantic', 'numpy', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"volume": {"first_band": 9, "encoding_band": 8}},
            "volume.first_band is 9; expected at most encoding_band",
        ),
        ({"schedule": {"switch": 20, "epochs": 20}}, "schedule.switch is 20; expected fewer than the 20 epochs in all"),
        (
            {"volume": {"volume_update": "wiener", "loss": "absolute"}, "schedule": {"pose_update": "gauss-newton"}},
            "volume.loss is absolute; expected squared",
        ),
    ],
)
def test_what_does_not_go_together_is_named(settings, said):
    for way in (lambda: Settings(**settings), lambda: Settings.from_json(json.dumps(settings))):
        with pytest.raises(ValueError, match=f"^settings: {said}"):
            way()


def test_one_error_names_all_that_does_not_go_together():
    with pytest.raises(ValueError) as error:
        Settings(method="search", volume={"first_band": 9, "encoding_band": 8}, schedule={"switch": 30})
    assert [line.split()[-1] for line in str(error.value).splitlines()] == ["shells", "all", "it"]


def test_numpy_scalars_are_the_numbers_that_they_hold():
    encoder = EncoderSettings(heads=np.int64(9), shifts=np.bool_(False), encoder_learning_rate=np.float64(0.01))
    assert encoder == EncoderSettings(heads=9, shifts=False, encoder_learning_rate=0.01)
    assert type(encoder.heads) is int
    with pytest.raises(ValueError, match=r"encoder.heads is .*7.5; expected a whole number"):
        EncoderSettings(heads=np.float64(7.5))
    with pytest.raises(ValueError, match=r"encoder.heads is array\(\[9\]\)"):
        EncoderSettings(heads=np.array([9]))
