"""Maps of a run as files: headers, frames, the original box, a deposition; what is missing is said."""

import io
import json
import pickle
import threading
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from napari_cryospin.cli.console import with_flags
from napari_cryospin.driving.results import write_results
from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.exporters.maps import export_emdb, export_maps, original_box_map
from napari_cryospin.exporters.options import ExportCancelledError, ExportOptions
from napari_cryospin.exporters.table import export_run
from napari_cryospin.geometry.angles import rotation_from_euler
from napari_cryospin.io.mrc import read_map
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.results import Results
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from support.records import epoch_record, particle_record
from support.stacks import write_stack

N, PIXEL_SIZE, BOX, FINE = 24, 4.0, 48, 2.0
RIM = np.pad(np.ones((N - 1,) * 3), ((1, 0),) * 3)
"""Not there: an even box has no voxels opposite to its first ones."""
CENTRES = np.random.default_rng(5).normal(0, 11, (20, 3))


def density(n: int) -> np.ndarray:
    """Gaussians at the same places in A, whatever the box of 96 A."""
    line = (np.arange(n) - n // 2) * 96 / n
    x, y, z = (np.exp(-((line - CENTRES[:, axis, None]) ** 2) / (2 * 5.5**2)) for axis in range(3))
    return np.einsum("bx,by,bz->zyx", x, y, z).astype(np.float32)


@pytest.fixture
def make_run(tmp_path):
    """Run whose map is known: `make_run(half_sets=True)`."""

    def make(half_sets: bool, finished: bool = True) -> RunFolder:
        stack = tmp_path / "images.mrcs"
        write_stack(stack, np.random.default_rng(0).standard_normal((4, BOX, BOX), dtype=np.float32), FINE)
        folder = RunFolder.create(tmp_path / "run", RunInput(particles=stack, pixel_size=FINE), Settings())
        for epoch in (1, 2, 3):
            shown = {"map": epoch * density(N), "pixel_size": PIXEL_SIZE}
            folder.write_history(epoch_record(epoch, particle_record(4), **shown))
        if finished:
            rng = np.random.default_rng(1)
            halves = tuple(density(N) + RIM * rng.normal(0, 0.05, (N, N, N)) for _ in range(2)) if half_sets else ()
            frequency = np.arange(N // 2 + 1) / 96
            curve = np.linspace(1, 0.1, N // 2 + 1)
            results = Results(
                map=np.mean(halves, axis=0) if half_sets else density(N),
                filtered_map=density(N),
                half_maps=halves,
                sharpened_map=2 * density(N) if half_sets else None,
                mask=RIM if half_sets else None,
                pixel_size=PIXEL_SIZE,
                resolution=10.0 if half_sets else float("nan"),
                fsc={"frequency": frequency, "corrected": curve} if half_sets else None,
                guinier={"square": frequency**2, "log_amplitude": curve} if half_sets else None,
                particles=particle_record(4, rotations=rotation_from_euler(rng.uniform(-90, 90, (4, 3)))),
                epoch=3,
            )
            write_results(folder.path / "results", results, open_particles(stack, pixel_size=FINE))
        return folder

    return make


def quiet(share: float, text: str) -> None:
    assert 0 <= share <= 1
    assert text


def test_all_maps_are_valid_and_have_the_cell_of_the_box(make_run, tmp_path):
    exported = export_maps(make_run(True), tmp_path / "out", ExportOptions(), quiet)
    names = {path.name for path in exported.paths}
    assert {"map.mrc", "half_map_1.mrc", "half_map_2.mrc", "mask.mrc", "map_sharpened.mrc", "reference.mrc"} <= names
    assert {"fsc.csv", "fsc.star", "fsc.xml", "postprocess.json", "epoch_0003.mrc"} <= names
    for path in exported.paths:
        if path.suffix == ".mrc":
            report = io.StringIO()
            assert mrcfile.validate(path, report), report.getvalue()
            with mrcfile.open(path) as mrc:
                assert mrc.header.mode == 2
                assert mrc.header.cella.x == pytest.approx(96.0)
                assert (mrc.header.nxstart, float(mrc.header.origin.x)) == (0, 0)
                assert mrc.header.nlabl == 1
                assert b"napari-cryospin" in mrc.header.label[0]
                assert not mrc.is_image_stack()


def test_the_reference_is_the_same_map_on_the_particles_grid(make_run, tmp_path):
    export_maps(make_run(True), tmp_path / "out", ExportOptions(series=False, low_pass=9.0), quiet)
    reference, size = read_map(tmp_path / "out" / "reference.mrc")
    assert (reference.shape, size) == ((BOX, BOX, BOX), FINE)
    curve = fsc(reference, density(BOX), FINE)
    assert curve.values[:6].min() > 0.98  # beyond, the halves are noise
    spectrum = abs(np.fft.fftshift(np.fft.fftn(reference)))
    line = np.arange(BOX) - BOX // 2
    radius = np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + line**2)
    assert spectrum[radius > 96 / 9 + 2.1].max() < 1e-3 * spectrum.max()
    assert not (tmp_path / "out" / "series").exists()


def test_padding_moves_and_scales_nothing(make_run):
    particles = open_particles(make_run(False).source.particles, pixel_size=FINE)
    got, size = original_box_map(density(N), PIXEL_SIZE, particles, float("nan"))
    assert size == FINE
    np.testing.assert_allclose(got, density(BOX), atol=0.03)
    np.testing.assert_allclose(got[::2, ::2, ::2], density(N), atol=0.03)
    with pytest.raises(ValueError, match="field of view"):
        original_box_map(density(N), 3.0, particles, float("nan"))


def test_a_box_that_nobody_knows_costs_the_reference_alone(make_run, tmp_path):
    """A STAR file of RELION 3.0 does not say it, and the stack is gone."""
    folder, star = make_run(False), tmp_path / "particles.star"
    names = "".join(f"_rln{name}\n" for name in ("ImageName", "DetectorPixelSize"))
    star.write_text(f"data_\nloop_\n{names}" + "".join(f"{row}@gone.mrcs 2.0\n" for row in (1, 2, 3, 4)))
    source = json.loads((folder.path / "input.json").read_text()) | {"particles": str(star), "pixel_size": None}
    (folder.path / "input.json").write_text(json.dumps(source))
    exported = export_run(folder.path, "maps", tmp_path / "out")
    assert (tmp_path / "out" / "map.mrc").is_file()
    assert not (tmp_path / "out" / "reference.mrc").exists()
    assert any("no reference.mrc" in note for note in exported.notes)


def test_the_series_is_the_history_on_one_grid(make_run, tmp_path):
    export_maps(make_run(False), tmp_path / "out", ExportOptions(), quiet)
    for epoch in (1, 2, 3):
        shown, size = read_map(tmp_path / "out" / "series" / f"epoch_{epoch:04d}.mrc")
        assert size == pytest.approx(PIXEL_SIZE)
        np.testing.assert_allclose(shown, epoch * density(N), rtol=2e-3, atol=1e-3)


def test_deposition_has_what_emdb_asks_for(make_run, tmp_path):
    exported = export_emdb(make_run(True), tmp_path / "emdb", ExportOptions(), quiet)
    assert {path.name for path in exported.paths} == {
        "map.mrc",
        "half_map_1.mrc",
        "half_map_2.mrc",
        "mask.mrc",
        "fsc.xml",
    }
    primary, _ = read_map(tmp_path / "emdb" / "map.mrc")
    np.testing.assert_allclose(primary, 2 * density(N))  # the sharpened one
    assert exported.notes[-1] == "map.mrc is the map weighted by the FSC and low-passed"  # no B-factor was found
    by_hand = export_emdb(make_run_again(tmp_path), tmp_path / "emdb", ExportOptions(b_factor=-90), quiet)
    assert by_hand.notes[-1] == "map.mrc is the sharpened map, B-factor -90.0 A^2"


def test_what_is_missing_without_half_sets_is_said(make_run, tmp_path):
    exported = export_emdb(make_run(False), tmp_path / "emdb", ExportOptions(), quiet)
    assert [path.name for path in exported.paths] == ["map.mrc"]
    assert "reconstruct with half sets (--half-sets)" in " ".join(map(with_flags, exported.notes))
    notes = export_maps(make_run_again(tmp_path), tmp_path / "out", ExportOptions(series=False), quiet).notes
    assert "by hand only" in " ".join(notes)
    assert "not low-passed, since the resolution is not known; give it (--low-pass)" in " ".join(map(with_flags, notes))
    with pytest.raises(ValueError, match="no sharpened map: without half sets") as caught:
        export_emdb(make_run_again(tmp_path), tmp_path / "emdb", ExportOptions(primary="sharpened"), quiet)
    assert with_flags(caught.value).endswith("filtered or unfiltered (--half-sets or --b-factor or --primary)")


def make_run_again(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def central_slice(path, rotation: np.ndarray) -> np.ndarray:
    """Fourier coefficients of a map's projection, straight from the definition: no interpolation."""
    values, size = read_map(path)
    n = len(values)
    z, y, x = (np.indices((n, n, n)) - n // 2).reshape(3, -1) * size / 96
    points = np.array([(kx, ky, 0) for kx in (-7, -3, 0, 2, 5) for ky in (1, 4, 6)]) @ rotation
    return np.exp(-2j * np.pi * (points @ np.stack((x, y, z)))) @ values.ravel()


@pytest.mark.parametrize("to", ["maps", "emdb", "chimerax"])
def test_maps_and_poses_of_the_other_hand_fit_as_those_of_the_first_do(to, make_run, tmp_path):
    folder = make_run(True)
    found = {}
    for side, flip_hand in (("one", False), ("other", True)):
        options = ExportOptions(flip_hand=flip_hand, b_factor=-100.0)
        paths = export_run(folder, to, tmp_path / side, options=options).paths
        maps = {path.relative_to(tmp_path / side): path for path in paths if path.suffix == ".mrc"}
        (star,) = export_run(folder, "relion", tmp_path / f"{side}.star", options=options).paths
        group = export_run(folder, "cryosparc", tmp_path / f"{side}-cs", options=options).paths
        poses = open_particles(star, require_stacks=False).rotations
        np.testing.assert_allclose(open_particles(group[1], require_stacks=False).rotations, poses, atol=1e-6)
        with (export_run(folder, "cryodrgn", tmp_path / f"{side}-pkl", options=options).paths[0]).open("rb") as file:
            np.testing.assert_allclose(pickle.load(file)[0], poses, atol=1e-6)
        found[side] = maps, poses
    (maps, poses), (others, other_poses) = found["one"], found["other"]
    assert list(maps) == list(others)
    assert len(maps) >= (10 if to == "maps" else 4)
    for name, path in maps.items():
        for rotation, other_rotation in zip(poses, other_poses, strict=True):
            seen, other = central_slice(path, rotation), central_slice(others[name], other_rotation)
            mixed, largest = central_slice(others[name], rotation), abs(seen).max()
            assert abs(seen - other).max() < 0.01 * largest, name  # what filters leave on the rim has no mate
            assert abs(seen - mixed).max() > 0.1 * largest or name == Path("mask.mrc")


def test_sharpened_by_hand(make_run, tmp_path):
    folder = make_run(False)
    export_maps(folder, tmp_path / "out", ExportOptions(series=False, b_factor=-300.0), quiet)
    sharpened, _ = read_map(tmp_path / "out" / "map_sharpened.mrc")
    gain = abs(np.fft.fftn(sharpened)) / abs(np.fft.fftn(density(N)))
    assert gain[0, 0, 6] == pytest.approx(np.exp(300 / 4 * (6 / 96) ** 2), rel=1e-3)


def test_what_was_sharpened_by_hand_is_told_and_ends_at_the_resolution(make_run, tmp_path):
    exported = export_maps(make_run(True), tmp_path / "out", ExportOptions(series=False, b_factor=-50.0), quiet)
    assert json.loads((tmp_path / "out" / "postprocess.json").read_text())["b_factor"] == -50
    assert any("B-factor -50.0" in note for note in exported.notes)
    primary = ExportOptions(primary="unfiltered")
    export_emdb(RunFolder(tmp_path / "run"), tmp_path / "emdb", primary, quiet)
    np.testing.assert_array_equal(*(read_map(tmp_path / name / "map.mrc")[0] for name in ("emdb", "out")))


def test_a_map_that_there_is_not_and_results_that_are_out_of_date(make_run, tmp_path):
    folder = make_run(False)
    with pytest.raises(ValueError, match="no sharpened map"):
        export_run(folder, "emdb", tmp_path / "out", options=ExportOptions(primary="sharpened"))
    assert not (tmp_path / "out").exists()
    assert not any("gone on" in note for note in export_run(folder, "maps", tmp_path / "out").notes)
    (folder.path / "history" / "epoch_0003.npz").rename(folder.path / "history" / "epoch_0004.npz")
    assert any("gone on" in note for note in export_run(folder, "maps", tmp_path / "out").notes)


def test_one_that_is_broken_off_or_in_the_wrong_place_changes_nothing(make_run, tmp_path):
    folder, stop = make_run(True), threading.Event()
    export_run(folder, "maps", tmp_path / "out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    other = ExportOptions(flip_hand=True)
    late = lambda share, text: stop.set() if share > 0.7 else None  # noqa: E731
    with pytest.raises(ExportCancelledError):
        export_run(folder, "maps", tmp_path / "out", options=other, progress=late, stop=stop)
    for place, to in ((folder.path / "results", "maps"), (folder.path, "emdb")):
        with pytest.raises(ValueError, match="the files of the run"):
            export_run(folder, to, place, options=other)
    with pytest.raises(ValueError, match="the files of the run"):
        export_run(folder, "relion", folder.path / "results" / "particles.star")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}


def test_a_run_without_results_is_refused_and_the_table_knows_both(make_run, tmp_path):
    folder = make_run(True, finished=False)
    with pytest.raises(FileNotFoundError, match="no results yet"):
        export_run(folder, "maps", tmp_path / "out")
    assert json.loads((folder.path / "status.json").read_text())["state"] == "starting"
