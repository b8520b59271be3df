"""Images that cannot be used, from `inspect` to the export: refused together, or left out and said."""

import json

import mrcfile
import numpy as np
import pytest
import starfile

from napari_cryospin.checks import preflight
from napari_cryospin.cli import main
from napari_cryospin.exporters.table import export_run
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.left_out import left_out_rows
from napari_cryospin.simulation.files import write_simulation
from napari_cryospin.simulation.images import SimulationSettings
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS

BAD = [3, 17, 40]
SHORT = ["--epochs", "2", "--switch", "1", "--decoding-epochs", "1", "--batch-size", "30", "--device", "cpu"]


@pytest.fixture
def star(tmp_path):
    """Sixty particles, three of which cannot be used."""
    files = write_simulation(SAMPLE_MAPS["spliceosome"], tmp_path / "tiny", SimulationSettings(count=60, box=16))
    with mrcfile.open(files.stack, "r+") as mrc:
        mrc.data[3], mrc.data[17], mrc.data[40, 2, 2] = 0, 7, np.nan
    return files.particles


def test_they_are_refused_together_and_nothing_is_left_behind(star, tmp_path, capsys):
    for command in (["inspect", str(star)], ["run", str(star), "-o", str(tmp_path / "run"), *SHORT]):
        assert main(command) == 2
        said = "".join(capsys.readouterr())
        assert "3 images cannot be used; mend or leave out (--leave-out-bad): particle 4 (image 4 of tiny.mrcs)" in said
        assert "particle 18 (image 18 of tiny.mrcs): all pixels are 7; particle 41" in said
    assert not (tmp_path / "run").exists()


def test_a_hasty_check_leaves_nothing_behind_either(star, tmp_path, capsys, monkeypatch):
    """The images are looked at for a limited time before the run, and all of them as it prepares them."""
    survey = preflight.survey_images
    monkeypatch.setattr(preflight, "survey_images", lambda particles, settings: survey(particles, settings, seconds=0))
    assert main(["inspect", str(star)]) == 0
    assert "4 of 60 looked at, evenly spread; a run looks at all that it uses" in capsys.readouterr().out
    assert main(["run", str(star), "-o", str(tmp_path / "run"), *SHORT]) == 2
    assert "3 images cannot be used; mend or leave out (--leave-out-bad)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_they_are_left_out_and_every_output_says_so(star, tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "out.star"
    assert main(["run", str(star), "-o", str(run), "--leave-out-bad", *SHORT]) == 0
    shown = capsys.readouterr().out
    assert "60, 57 used" in shown
    assert "3 images cannot be used and left out: particle 4" in shown
    folder = RunFolder(run)
    assert left_out_rows(folder) == BAD
    record = folder.results_record().particles
    assert record.rows.tolist() == [row for row in range(60) if row not in BAD]
    notes = json.loads((run / "results" / "postprocess.json").read_text())["notes"]
    assert any(note.startswith("3 images cannot be used and left out") for note in notes)
    assert main(["export", str(run), str(out), "--to", "relion"]) == 0
    shown = capsys.readouterr().out
    assert "note: 3 of the input's 60 particles are not in the run and have no pose, 3 of them because" in shown
    assert "their images cannot be used (left_out.csv): they are left out" in shown
    names = starfile.read(out, always_dict=True)["particles"]["rlnImageName"].tolist()
    assert len(names) == 57
    assert not {f"{row + 1:06d}" for row in BAD} & {name.partition("@")[0] for name in names}


def test_an_export_says_that_a_subset_was_used(star, tmp_path):
    run = tmp_path / "run"
    assert main(["run", str(star), "-o", str(run), "--leave-out-bad", "--subset", "40", *SHORT]) == 0
    notes = export_run(run, "cryodrgn", tmp_path / "out").notes
    assert any(note.startswith("20 of the input's 60 particles are not in the run and have no pose") for note in notes)


def test_resume_leaves_out_the_same(star, tmp_path):
    run = tmp_path / "run"
    assert main(["run", str(star), "-o", str(run), "--leave-out-bad", *SHORT]) == 0
    folder = RunFolder(run)
    (folder.results_path / "map.mrc").unlink()
    assert main(["resume", str(run)]) == 0
    assert left_out_rows(folder) == BAD
