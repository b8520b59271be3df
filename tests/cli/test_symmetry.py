"""The command `symmetry`: what it says of a map and of a run, and the maps that it writes."""

import numpy as np
import pytest
import torch

import napari_cryospin as spin
from napari_cryospin.cli import main
from napari_cryospin.geometry.so3 import random_rotations
from napari_cryospin.io.mrc import read_map, write_map
from support.simulated import turned_phantom


@pytest.fixture(scope="module")
def c3_map(tmp_path_factory):
    rotation = random_rotations(1, torch.Generator().manual_seed(1))[0].double().numpy()
    path = tmp_path_factory.mktemp("maps") / "c3.mrc"
    write_map(path, turned_phantom(32, "C3", rotation, np.array([3.0, 0, 1])).numpy(), 3.0)
    return path


def test_a_map_is_looked_at_and_turned(c3_map, tmp_path, capsys):
    outputs = [tmp_path / "aligned.mrc", tmp_path / "difference.mrc"]
    options = ["--resolution", "9.6", "--aligned", str(outputs[0]), "--difference", str(outputs[1])]
    assert main(["symmetry", str(c3_map), *options]) == 0
    assert capsys.readouterr().out.startswith("looks like C3 (1.00), compared down to 9.6 A\n")
    aligned, difference = (read_map(path)[0] for path in outputs)
    assert np.abs(difference).max() < 0.05 * aligned.max()
    assert spin.find_symmetry(outputs[0], "C3").candidates[0].rotation == pytest.approx(np.eye(3), abs=0.02)


def test_one_group_is_asked_for(c3_map, tmp_path, capsys):
    difference = tmp_path / "difference.mrc"
    assert main(["symmetry", str(c3_map), "--group", "d4", "--difference", str(difference)]) == 0
    assert capsys.readouterr().out.startswith("does not look like D4 (")
    assert np.abs(read_map(difference)[0]).max() > 0.2 * read_map(c3_map)[0].max()


def test_a_map_without_symmetry_is_not_turned(tmp_path, capsys):
    spliceosome = str(spin.SAMPLE_MAPS["spliceosome"])
    assert main(["symmetry", spliceosome]) == 0
    assert capsys.readouterr().out.startswith("no symmetry found")
    assert main(["symmetry", spliceosome, "--aligned", str(tmp_path / "out.mrc")]) == 2
    assert "expected --group" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_map_of_a_run_is_looked_at(tmp_path, capsys):
    particles = spin.simulate(spin.SAMPLE_MAPS["spliceosome"], tmp_path / "small", count=60, box=24, snr=1.0)
    small = {"epochs": 2, "decoding_epochs": 1, "switch": 1, "heads": 2, "threads": 1}
    run = spin.reconstruct(particles, tmp_path / "run", half_sets=True, **small)
    assert main(["symmetry", str(tmp_path / "run")]) == 0
    assert "compared down to" in capsys.readouterr().out
    assert spin.find_symmetry(run).resolution == spin.find_symmetry(tmp_path / "run").resolution
    snapshots_alone = tmp_path / "run" / "results"
    snapshots_alone.rename(tmp_path / "results")
    assert spin.find_symmetry(run).resolution > 0


def test_a_run_without_a_map_says_so(run, capsys):
    assert main(["symmetry", str(run.path)]) == 2
    assert "no map in this run yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("aligned", "difference", "said"),
    [
        ("c3.mrc", None, "the input c3.mrc is there"),
        ("../{folder}/c3.mrc", None, "the input c3.mrc is there"),
        ("particles.star", None, "expected '.mrc'"),
        ("out.mrc", "./out.mrc", "both maps are to be written there"),
    ],
)
def test_nothing_is_written_over(aligned, difference, said, c3_map, tmp_path, capsys):
    own = tmp_path / "c3.mrc"
    own.write_bytes(c3_map.read_bytes())
    options = ["--aligned", str(tmp_path / aligned.format(folder=tmp_path.name))]
    options += [] if difference is None else ["--difference", f"{tmp_path}/{difference}"]
    assert main(["symmetry", str(own), "--group", "C3", *options]) == 2
    assert said in capsys.readouterr().err
    assert own.read_bytes() == c3_map.read_bytes()
