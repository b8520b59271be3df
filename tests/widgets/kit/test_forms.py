"""Forms show every settings field, say what it means, and give back what they show."""

import dataclasses
import json
from pathlib import Path

import pytest

from napari_cryospin.settings import PRESETS, PreparationSettings, Settings, StartSettings, fields_of
from napari_cryospin.widgets.kit.file_field import parted, written
from napari_cryospin.widgets.kit.knobs import AFTER_EPOCHS, label_of, tip_of
from napari_cryospin.widgets.kit.preferences import recall_settings, remember_choice, remember_settings
from napari_cryospin.widgets.kit.settings_form import GroupForm, changes, window_preset, with_changes, with_preset
from napari_cryospin.widgets.run.setup import RunSetup

GROUP_CLASSES = {field.name: field.group for field in fields_of(Settings).values() if field.group is not None}
GROUPS = list(GROUP_CLASSES)
OTHER = {  # a value for every field whose kind alone does not say one
    "switch": 12,
    "device": "cuda:1",
    "encoder_learning_rate": 0.00012345,
    "mask_radius": 123.4,
    "reference": "/maps of May, 2026/reference, low-passed.mrc",
    "symmetry": "D7",
    "classes": 3,
}


def another(field, value):
    """An admitted value that differs from the present one."""
    if field.name in OTHER:
        return OTHER[field.name]
    if field.choices:
        return next(choice for choice in field.choices if choice != value)
    if bool in field.kinds:
        return not value
    if field.name == "padding":
        return 3 - value
    if float in field.kinds:
        return field.range[0] + 0.25
    return field.range[0] + (18 if field.even else 17)


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_form_gives_back_every_preset(qtbot, name, preset):
    group = getattr(PRESETS[preset], name)
    form = GroupForm(type(group))
    qtbot.addWidget(form)
    form.show_values(group)
    assert form.applied_to(type(group)()) == group


@pytest.mark.parametrize("name", GROUPS)
def test_every_field_goes_through_its_widget(qtbot, name):
    group = getattr(PRESETS["quick"], name)
    fields = fields_of(type(group))
    form = GroupForm(type(group))
    qtbot.addWidget(form)
    assert set(form.knobs) == {field.name for field in dataclasses.fields(group)}
    for field_name, field in fields.items():
        new = dataclasses.replace(group, **{field_name: another(field, getattr(group, field_name))})
        assert new != group
        form.show_values(new)
        assert form.applied_to(group) == new, field_name
        if field.optional:
            default = dataclasses.replace(group, **{field_name: None})
            form.show_values(default)
            assert form.applied_to(new) == default
            number = form.knobs[field_name].number
            shown = number.line_edit.native.placeholderText() if field.is_path else number.native.text()
            assert shown == ("none: begin from nothing" if field.is_path else "default")
        form.show_values(group)


def test_tooltips_carry_help_unit_and_range():
    field = fields_of(type(PRESETS["quick"].preparation))["box"]
    assert label_of(field) == "box (px)"
    assert "Fourier-cropped" in tip_of(field)
    assert tip_of(field).endswith("16 to 1024 px.")
    radius = fields_of(type(PRESETS["quick"].preparation))["mask_radius"]
    assert label_of(radius) == "mask radius (Å)"
    assert tip_of(radius).endswith("1 to 100000 Å.")


def test_only_the_user_s_changes_are_told(qtbot):
    group = PRESETS["quick"].encoder
    form = GroupForm(type(group), ("heads",))
    qtbot.addWidget(form)
    with qtbot.assertNotEmitted(form.changed):
        form.show_values(dataclasses.replace(group, heads=9))
    with qtbot.waitSignal(form.changed):
        form.knobs["heads"].number.native.setValue(11)
    assert form.applied_to(group).heads == 11


def test_in_the_window_the_switch_waits_for_the_user():
    assert PRESETS["quick"].schedule.switch == "automatic"
    assert {window_preset(name).schedule.switch for name in PRESETS} == {"by-hand"}


def test_a_preset_leaves_particles_and_machine_alone():
    own = {"preparation.box": 64, "start.reference_resolution": 12.0, "volume.symmetry": "C3", "machine.device": "cpu"}
    given = with_changes("quick", {**own, "encoder.heads": 3})
    new = with_preset(given, "paper-experimental")
    assert (new.preparation.box, new.machine.device, new.encoder.heads) == (64, "cpu", 15)
    assert new.preparation.half_sets  # this belongs to the preset
    assert changes(new) == own


def test_what_was_chosen_is_remembered():
    settings = with_changes("paper-cpu", {"encoder.heads": 3, "schedule.switch": 12, "method": "fully-amortized"})
    own = {"preparation": dataclasses.replace(settings.preparation, box=32), "start": StartSettings(reference="a.mrc")}
    sampled = dataclasses.replace(settings, posterior=dataclasses.replace(settings.posterior, posterior_sample=True))
    own["volume"] = dataclasses.replace(settings.volume, symmetry="C3")
    remember_settings(dataclasses.replace(sampled, **own))
    assert recall_settings() == sampled  # box, reference and symmetry belong to one set of particles


@pytest.mark.parametrize("text", ["{", json.dumps({"preset": "gone", "changes": {}})])
def test_what_another_version_remembered_is_left_out(text):
    remember_choice("settings", text)
    assert recall_settings() == window_preset("quick")
    for changed in (
        {"encoder.antlers": 2},
        {"antlers.heads": 2},
        {"encoder.heads": 7.5},
        {"preset.heads": 2},
        {"x": 1},
    ):
        remember_choice("settings", json.dumps({"preset": "quick", "changes": changed}))
        assert recall_settings() == window_preset("quick")


CHOICES = [
    (group, name, choice)
    for group, cls in GROUP_CLASSES.items()
    for name, field in fields_of(cls).items()
    for choice in (*field.choices, *[True, False] * (bool in field.kinds))
]


@pytest.mark.parametrize("method", fields_of(Settings)["method"].choices)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_form_makes_admitted_settings_or_complains(session, qtbot, preset, method):
    """Every choice of every field, on every preset and method: what is shown is taken, or said to be wrong."""
    setup = RunSetup(session)
    qtbot.addWidget(setup)
    setup.folded.toggled.emit(True)
    complaints = 0
    for group, name, choice in CHOICES:
        if group not in ("encoder", "volume", "schedule", "posterior"):
            continue
        session.set_settings(window_preset(preset))
        setup.show_settings()
        setup.method.setCurrentIndex(setup.method.findData(method))
        (form,) = [form for key, form in setup.forms.items() if key.split()[0] == group and name in form.knobs]
        form.knobs[name].value = choice
        setup._take()
        shown = json.loads(session.settings.to_json())
        shown["method"] = method
        shown[group][name] = choice
        if setup.problem:
            complaints += 1
            assert session.settings == window_preset(preset)
            with pytest.raises(ValueError) as error:
                Settings(**shown)
            assert setup.problem == str(error.value).removeprefix("settings: ")
        else:
            assert Settings(**shown) == session.settings
    assert complaints  # of grow_further or volume_update, at least


def test_a_form_of_particles_complains_of_an_odd_box(qtbot):
    form = GroupForm(PreparationSettings)
    qtbot.addWidget(form)
    form.knobs["box"].value = 33
    with pytest.raises(ValueError, match=r"preparation\.box is 33; expected an even number, 16 to 1024 px, or None"):
        form.applied_to(PreparationSettings())


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("number", [-1e12, 0.0, 0.5, 7.5, 1e12])
def test_whatever_number_is_typed_is_admitted_or_complained_of(qtbot, group, number):
    """Between "default" and the smallest number admitted, a spin box takes numbers that are not."""
    cls = GROUP_CLASSES[group]
    for name, field in fields_of(cls).items():
        if not {int, float} & set(field.kinds):
            continue
        form = GroupForm(cls, (name,))
        qtbot.addWidget(form)
        knob = form.knobs[name]
        if knob.choice is not None:
            knob.choice.value = AFTER_EPOCHS
        knob.number.native.setValue(number)
        try:
            made = form.applied_to(cls())
        except ValueError as error:
            assert str(error).startswith(f"settings: {group}.{name} is ")  # noqa: PT017 (either way is right)
            continue
        assert cls(**dataclasses.asdict(made)) == made


def test_a_method_that_was_added_is_offered_and_taken(guessing, session, qtbot):
    """One row in the table of methods, and no other change."""
    setup = RunSetup(session)
    qtbot.addWidget(setup)
    place = setup.method.findData("guessing")
    assert place >= 0
    assert "guessing: the best of three guesses" in setup.method.toolTip()
    setup.method.setCurrentIndex(place)
    setup.method.activated.emit(place)
    assert setup.problem == ""
    assert session.settings.method == "guessing"


@pytest.mark.parametrize("names", [(), ("/a.mrc",), ("/a, b.mrc",), ("/a, b.mrc", "/c d.mrc"), ("/a.mrc",) * 3])
def test_names_of_files_are_read_as_they_were_written(names):
    assert tuple(parted(written(names))) == names


def test_a_map_to_start_from_is_chosen_in_the_form(session, qtbot, tmp_path):
    new = tmp_path / "maps, new"
    new.mkdir()
    names = [str(tmp_path / name) for name in ("reference.mrc", "one, two.mrc", "other.mrc", "maps, new/a, b.mrc")]
    reference, one, other, comma = names
    for name in names:
        Path(name).touch()
    setup = RunSetup(session)
    qtbot.addWidget(setup)
    setup.folded.set_open(True)
    field = setup.forms["start"].knobs["reference"].number
    assert "reference" not in setup.forms["start advanced"].knobs  # It stands among the first rows, once.
    assert field.native.isVisibleTo(setup)
    assert field.choose_btn.visible is not None  # It can be browsed for.
    field.value = reference
    assert session.settings.start.reference == reference
    assert not setup.reset.isVisibleTo(setup)  # A reset to the preset would not change it.
    field.line_edit.value = comma  # as it is typed or pasted
    assert session.settings.start.reference == comma
    field.line_edit.value = f'"{one}" "{other}"'
    assert "names 2 maps" in setup.problem
    field.value = (one, other)
    assert "names 2 maps, volume.classes is 1; expected one map, or one a class" in setup.problem
    setup.forms["volume advanced"].knobs["classes"].value = 2
    assert session.settings.start.reference == (one, other)
    assert setup.problem == ""
    setup.forms["volume advanced"].knobs["classes"].value = 1
    field.value = reference
    place = setup.preset.findData("paper-cpu")
    setup.preset.setCurrentIndex(place)
    setup.preset.activated.emit(place)
    assert "expected posterior.posterior_sample with it" in setup.problem
    assert (session.settings.preset, setup.preset.currentData()) == ("quick", "quick")
    field.line_edit.value = reference.replace("reference", "referense")
    assert setup.problem == f"reference: {tmp_path / 'referense.mrc'}: no such file"
    assert setup.complaint.isVisibleTo(setup)
    field.value = None
    assert session.settings.start.reference is None
    assert setup.problem == ""
