"""The command line: what it answers, with which exit status, and how fast the light commands start."""

import shlex
import subprocess
import sys

import pytest

from napari_cryospin.cli import COMMANDS, main
from napari_cryospin.cli.flags import read_value
from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.settings import (
    PRESETS,
    EncoderSettings,
    MachineSettings,
    PreparationSettings,
    ScheduleSettings,
    fields_of,
)

ALL_METHODS = " or ".join(", ".join(DESCRIPTIONS).rsplit(", ", 1))


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in COMMANDS)
    assert main([]) == 2


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("napari-cryospin 0")


@pytest.mark.parametrize(
    ("command", "line"),
    [("run", "PARTICLES"), ("inspect", "FILE"), ("simulate", "MAP OUT"), ("send", "RUN {pause,"), ("status", "RUN")],
)
def test_help_names_what_is_asked_for(command, line, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert line in " ".join(capsys.readouterr().out.split("\n\n")[0].split())


def test_unknown_command(capsys):
    assert main(["recontsruct"]) == 2
    assert "no command 'recontsruct'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "resume"])
def test_a_folder_without_a_run_is_one_line_and_status_2(command, tmp_path, capsys):
    assert main([command, str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "no run in this folder" in error
    assert error.count("\n") == 1


def test_light_commands_do_not_load_torch(run, stack):
    code = "import sys; from napari_cryospin.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    for arguments in (["status", str(run.path)], ["send", str(run.path), "stop"], ["inspect", str(stack)]):
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_inspect_prints_the_card(stack, capsys):
    assert main(["inspect", str(stack)]) == 0
    shown = capsys.readouterr().out
    for text in ("6", "32 px at 2 A", "CTF"):
        assert text in shown


def test_inspect_names_all_missing_stacks_and_says_that_a_run_is_impossible(stack, capsys):
    stack.with_name("images.mrcs").unlink()
    assert main(["inspect", str(stack)]) == 2
    assert "images.mrcs" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "inspect"])
def test_help_shows_settings_with_units_and_the_defaults_of_the_preset(command, capsys):
    for preset, heads in (("quick", PRESETS["quick"].encoder.heads), ("paper-experimental", 15)):
        with pytest.raises(SystemExit):
            main([command, "--preset", preset, "--help"])
        shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert (
            "Radius (not diameter) of the soft circular mask. Default: 0.46 of the box. Unit: A. (default: None)"
            in shown
        )
        assert f"(M). (default: {heads})" in shown


def test_flags_override_the_preset(stack, capsys):
    assert main(["inspect", str(stack), "--preset", "paper-cpu", "--box", "16", "--half-sets"]) == 0
    assert "16 px at 4 A" in capsys.readouterr().out


def test_a_resolution_replaces_the_shells_of_the_preset(stack, capsys):
    flags = ["--first-resolution", "32", "--encoding_resolution=16", "--last-resolution", "10"]
    assert main(["inspect", str(stack), *flags]) == 0
    bands = "2 shells (32 A) at first, up to 4 shells (16 A) before the switch, 6 shells (10.7 A) at the end"
    assert bands in capsys.readouterr().out
    assert main(["inspect", str(stack), "--encoding-resolution", "None"]) == 0
    assert "up to 11 shells (5.82 A) before the switch" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["inspect", "run"])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--box", "31"], "even"),
        (["--box", "8"], "16"),
        (["--box", "64"], "64"),
        (["--preset", "fast"], "quick"),
        (["--max-shift", "999"], "half of the box, 32 A"),
        (["--mask-radius", "1"], "3 to 32 A"),
        (["--mask-radius", "40"], "a radius, no diameter"),
        (["--switch", "44"], "switch is 44"),
        (["--loss", "absolute"], "expected squared"),
        (["--first-band", "12"], "first_band is 12"),
        (
            ["--first-resolution", "999"],
            "first resolution 999 A; expected 4 to 32 A: Nyquist to 2 shells of this box of 64 A",
        ),
        (["--first-resolution", "30", "--first-band", "2"], "expected only one of them"),
        (["--encoding-resolution", "9", "--last-resolution", "20"], "expected at least last_resolution, 20 A"),
        (["--data-dir", "nowhere"], "no such folder"),
    ],
)
def test_impossible_settings_are_status_2_and_no_traceback(command, options, named, stack, tmp_path, capsys):
    out = ["-o", str(tmp_path / "run")] if command == "run" else []
    try:
        code = main([command, str(stack), *out, *options])
    except SystemExit as exit_:  # the parser's own complaint
        code = exit_.code
    shown = capsys.readouterr()
    assert code == 2
    assert named in shown.out + shown.err
    assert "Traceback" not in shown.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--method serach", f"method is 'serach'; expected {ALL_METHODS} (did you mean search?)"),
        ("--preset fast", "preset is 'fast'; expected quick, paper-synthetic, paper-experimental, paper-cpu, "),
        (
            "--volume-update weiner",
            "volume.volume_update is 'weiner'; expected adam, implicit or wiener (did you mean ",
        ),
        ("--switch automtic", "schedule.switch is 'automtic'; expected by-hand, automatic or a whole number"),
        ("--heads 7.5", "encoder.heads is '7.5'; expected a whole number, 1 to 64"),
        ("--heads many", "encoder.heads is 'many'; expected a whole number, 1 to 64"),
        ("--cache nan", "preparation.cache is nan; expected a number, 0 to 10000 GiB"),
        ("--mask-radius wide", "preparation.mask_radius is 'wide'; expected a number, 1 to 100000 A, or None"),
        ("--box 33", "preparation.box is 33; expected an even number, 16 to 1024 px, or None"),
        ("--switch 44", "schedule.switch is 44; expected fewer than the 44 epochs in all"),
    ],
)
def test_a_wrong_flag_is_one_line_and_status_2(options, said, stack, capsys):
    assert main(["inspect", str(stack), *options.split()]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"napari-cryospin: settings: {said}")
    assert shown.err.count("\n") == 1


def test_all_wrong_flags_are_named_at_once(stack, tmp_path, capsys):
    assert main(["inspect", str(stack), "--heads", "99", "--trunk", "vgg", "--loss", "cubed"]) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in ("encoder.heads is 99", "encoder.trunk is 'vgg'", "volume.loss is 'cubed'"))
    assert main(["simulate", str(tmp_path / "map.mrc"), str(tmp_path / "out"), "--box", "33", "--snr", "0"]) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in ("simulation.box is 33", "simulation.snr is 0.0"))


def test_flags_are_read_as_their_fields_types():
    fields = {**fields_of(EncoderSettings), **fields_of(ScheduleSettings), **fields_of(PreparationSettings)}
    for name, text, value in (
        ("heads", "7", 7),
        ("max_shift", "7", 7.0),
        ("max_shift", "None", None),
        ("switch", "7", 7),
        ("switch", "by-hand", "by-hand"),
        ("encoder_learning_rate", "1e-3", 0.001),
        ("noise", "white", "white"),
    ):
        read = read_value(fields[name], text)
        assert (read, type(read)) == (value, type(value))
    assert read_value(fields_of(MachineSettings)["device"], "1") == "1"


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "no such file"), ("", "particles.star"), ("data_\nloop_\n_rlnVoltage #1\n300\n", "rlnImageName")],
)
def test_bad_particle_files_are_one_clear_line(content, named, tmp_path, capsys):
    path = tmp_path / "particles.star"
    if content is not None:
        path.write_text(content)
    assert main(["run", str(path), "-o", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert "particles.star" in error
    assert error.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell's pipe")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["inspect", "particles.star"]])
def test_whoever_reads_may_stop_reading(arguments, stack):
    command = shlex.join([sys.executable, "-m", "napari_cryospin", *arguments])
    result = subprocess.run(
        f"{command} | true", shell=True, capture_output=True, text=True, cwd=stack.parent, check=False
    )
    assert result.stderr == ""
