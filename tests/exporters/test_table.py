"""The one door of all exports, and its command."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
import starfile

from napari_cryospin.cli import main
from napari_cryospin.evaluation.map_alignment import apply_alignment
from napari_cryospin.exporters.options import ExportCancelledError
from napari_cryospin.exporters.run_results import open_results
from napari_cryospin.exporters.selection import Selection
from napari_cryospin.exporters.table import EXPORTERS, export_run
from napari_cryospin.geometry.angles import rotation_from_euler
from support.records import epoch_record


def test_command(star, make_run, tmp_path, capsys):
    run = make_run(star, range(12), entropy=np.linspace(0, 1, 12))
    out = tmp_path / "new folder" / "out.star"
    command = ["export", str(run.path), str(out), "--to", "relion"]
    assert main([*command, "--select", "entropy<0.5 and row>1", "--random", "3", "--star", "3.1"]) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    assert len(starfile.read(out)["particles"]) == 3
    rows = tmp_path / "rows.txt"
    rows.write_text("4\n")
    assert main([*command, "--rows", str(rows), "--direction", "0", "0", "180"]) == 0
    assert starfile.read(out)["particles"]["rlnNote"].tolist() == ["3 words"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["out.star", "--to", "eman"], "nothing is written for 'eman'; expected one of relion, cryosparc"),
        (["out.txt", "--to", "relion"], "expected '.star'"),
        (["out.star", "--to", "relion", "--select", "entropy <"], "expected comparisons"),
        (["out.star", "--to", "relion", "--rows", "nothing.txt"], "nothing.txt: no such file"),
        (["input/particles.star", "--to", "relion"], "the input particles.star is there"),
        (["input/../input/particles.star", "--to", "relion"], "the input particles.star is there"),
        (["input", "--to", "cryosparc"], "the input particles.star is there"),
        (["rows.txt", "--to", "cryodrgn"], "is a file; expected a folder"),
        (["out", "--to", "chimerax", "--select", "entropy < 1"], "expected no selection"),
        (["out.star", "--to", "relion", "--select", "log_likelihood > 0"], "none of the run's 12 particles is left"),
        (["out.star", "--to", "relion", "--random", "0"], "random is 0; expected at least 1"),
        (["out.star", "--to", "relion", "--direction", "0", "0", "nan"], "expected rot, tilt and an angle"),
    ],
)
def test_mistakes_are_one_clear_line(arguments, named, star, make_run, tmp_path, capsys, monkeypatch):
    run = make_run(star, range(12))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.txt").touch()
    before = star.read_bytes()
    assert main(["export", str(run.path), *arguments]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert star.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--low-pass", "0"], "low_pass: found 0"),
        (["--low-pass", "-4"], "low_pass: found -4"),
        (["--b-factor", "nan"], "b_factor: found nan"),
        (["--view", "nan", "0", "0"], "view: found (nan"),
        (["--contour", "1.5"], "contour: found 1.5"),
        (["--colour", "blue"], "colour: found 'blue'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, named, star, make_run, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(make_run(star, range(12)).path), str(tmp_path / "out"), "--to", "maps", *options])
    assert named in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_torch_for_particles(star, make_run, tmp_path):
    run = make_run(star, range(12))
    code = "import sys; from napari_cryospin.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    command = ["export", str(run.path), str(tmp_path / "out.star"), "--to", "relion"]
    subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True)


def test_every_exporter_is_there():
    for name, exporter in EXPORTERS.items():
        assert exporter.load().__name__ == f"export_{name}"


@pytest.mark.parametrize("to", ["relion", "cryosparc", "cryodrgn"])
def test_progress_grows_and_a_stop_leaves_nothing(to, star, make_run, tmp_path):
    star.write_text(star.read_text().replace("3.0 32 2", "1.5 64 2"))  # one box: cryoDRGN takes no other
    run, stop, seen = make_run(star, range(12)), threading.Event(), []
    out = tmp_path / "out" / ("a.star" if to == "relion" else "")
    export_run(run, to, out, progress=lambda share, text: seen.append((share, text)))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert all(text for _, text in seen)
    written = {path.name: path.stat().st_mtime_ns for path in out.parent.rglob("*") if path.is_file()}

    for moment in sorted({share for share in shares if 0.5 < share < 1}):  # whenever it is broken off

        def late(share: float, text: str, moment: float = moment) -> None:
            if share >= moment:
                stop.set()

        stop.clear()
        with pytest.raises(ExportCancelledError):
            export_run(run, to, out, Selection(expression="row < 5"), progress=late, stop=stop)
    assert written == {path.name: path.stat().st_mtime_ns for path in out.parent.rglob("*") if path.is_file()}


def test_a_run_that_goes_on_is_exported_as_of_its_last_epoch(star, make_run, tmp_path):
    run = make_run(star, [4, 2], finished=False)
    results = open_results(run)
    assert results.live
    assert results.record.rows.tolist() == [2, 4]
    assert (
        export_run(run, "relion", tmp_path / "out.star").notes[0].startswith("the run is not over: poses are those of")
    )


def test_results_count_until_the_run_has_gone_on(star, make_run):
    run = make_run(star, [4, 2])
    assert not open_results(run).live
    record = run.results_record().particles
    run.write_history(epoch_record(7, record))
    assert not open_results(run).live
    run.write_history(epoch_record(8, record))
    assert open_results(run).live


def test_nothing_known_yet(star, make_run):
    run = make_run(star, [4, 2])
    (run.path / "results" / "particles.npz").unlink()
    with pytest.raises(ValueError, match="no epoch of this run has ended yet"):
        open_results(run)


def blobs(seed):
    """A map of twelve blobs, 32 px."""
    centres = np.random.default_rng(seed).uniform(-8, 8, (12, 3))
    line = np.arange(32) - 16
    x, y, z = (np.exp(-((line - centres[:, axis, None]) ** 2) / (2 * 1.5**2)) for axis in range(3))
    return np.einsum("bx,by,bz->zyx", x, y, z).astype(np.float32)


@pytest.mark.parametrize("classes", [1, 2])
def test_halves_of_a_run_that_goes_on_are_brought_to_one_frame(star, make_run, classes):
    """The second half saw the molecule turned and moved: its poses are told in the frame of the first.

    Its classes, which look nothing alike, have the other half's numbers the other way round.
    """
    pixel_size = 3.0
    turn, move = rotation_from_euler([40, 70, 20]), np.array([3.0, -4.5, 1.5])
    firsts = [blobs(2), blobs(5)][:classes]
    seconds = [apply_alignment(one, turn, move, pixel_size) for one in firsts[::-1]]
    of_classes, maps = {}, {"map": firsts[0], "half_maps": (firsts[0], seconds[0]), "pixel_size": pixel_size}
    if classes == 2:
        numbers = np.array([1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 1, 1])
        of_classes = {"class_number": numbers, "class_probability": np.eye(2)[numbers - 1]}
        maps["class_maps"] = (firsts[0], seconds[0], firsts[1], seconds[1])
    # A particle posed by A in the first frame is posed by A Q^T in the second; its centre moves with the molecule.
    rotations = rotation_from_euler(np.random.default_rng(3).uniform(-90, 90, (12, 3)))
    true, halves = rotations.copy(), np.repeat(np.array([1, 2], np.int8), 6)
    rotations[6:] = true[6:] @ turn.T
    shifts = np.zeros((12, 2))
    shifts[6:] = (rotations[6:] @ move)[:, :2]
    run = make_run(
        star,
        range(12),
        finished=False,
        rotations=rotations,
        shifts=shifts,
        half_sets=halves,
        of_epoch=maps,
        **of_classes,
    )
    results = open_results(run)
    apart = np.degrees(np.arccos(np.clip((np.einsum("kij,kij->k", results.record.rotations, true) - 1) / 2, -1, 1)))
    assert apart.max() < 1.0
    assert np.abs(results.record.shifts).max() < 0.3
