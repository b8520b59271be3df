"""Maps of a run as files: headers, frames, the original box, a deposition; what is missing is said."""

import dataclasses
import io
import json

import mrcfile
import numpy as np
import pytest

from napari_cryospin.evaluation.fsc import fsc
from napari_cryospin.evaluation.hand import flip_hand
from napari_cryospin.export.maps import export_emdb, export_maps, original_box_map
from napari_cryospin.export.options import ExportOptions
from napari_cryospin.export.table import export
from napari_cryospin.inference.results import write_results
from napari_cryospin.io.mrc import read_map, write_stack
from napari_cryospin.io.open import open_particles
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Results
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings

N, PIXEL_SIZE, BOX, FINE = 24, 4.0, 48, 2.0
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
            shown = (epoch * density(N)).astype(np.float16)
            folder.write_history(epoch, {"map": shown, "pixel_size": np.array(PIXEL_SIZE, np.float32)})
        if finished:
            rng = np.random.default_rng(1)
            halves = tuple(density(N) + rng.normal(0, 0.05, (N, N, N)) for _ in range(2)) if half_sets else ()
            frequency = np.arange(N // 2 + 1) / 96
            curve = np.linspace(1, 0.1, N // 2 + 1)
            results = Results(
                map=np.mean(halves, axis=0) if half_sets else density(N),
                filtered_map=density(N),
                half_maps=halves,
                sharpened_map=2 * density(N) if half_sets else None,
                mask=np.ones((N, N, N)) if half_sets else None,
                pixel_size=PIXEL_SIZE,
                resolution=10.0 if half_sets else float("nan"),
                fsc={"frequency": frequency, "corrected": curve} if half_sets else None,
                guinier={"square": frequency**2, "log_amplitude": curve} if half_sets else None,
                indices=np.arange(4),
                rotations=np.eye(3)[None].repeat(4, 0),
                shifts=np.zeros((4, 2)),
                log_likelihood=np.zeros(4),
                winning_head=np.zeros(4),
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


def test_what_is_missing_without_half_sets_is_said(make_run, tmp_path):
    exported = export_emdb(make_run(False), tmp_path / "emdb", ExportOptions(), quiet)
    assert [path.name for path in exported.paths] == ["map.mrc"]
    assert "--half-sets" in " ".join(exported.notes)
    notes = export_maps(make_run_again(tmp_path), tmp_path / "out", ExportOptions(series=False), quiet).notes
    assert "by hand only" in " ".join(notes)
    assert "not low-passed" in " ".join(notes)


def make_run_again(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_the_other_hand_is_that_of_all_maps(make_run, tmp_path):
    folder = make_run(True)
    export_maps(folder, tmp_path / "one", ExportOptions(), quiet)
    export_maps(folder, tmp_path / "other", dataclasses.replace(ExportOptions(), flip_hand=True), quiet)
    for name in ("map", "half_map_2", "mask", "reference", "series/epoch_0002"):
        one, other = (read_map(tmp_path / side / f"{name}.mrc")[0] for side in ("one", "other"))
        np.testing.assert_array_equal(other, flip_hand(one))


def test_sharpened_by_hand(make_run, tmp_path):
    folder = make_run(False)
    export_maps(folder, tmp_path / "out", ExportOptions(series=False, b_factor=-300.0), quiet)
    sharpened, _ = read_map(tmp_path / "out" / "map_sharpened.mrc")
    gain = abs(np.fft.fftn(sharpened)) / abs(np.fft.fftn(density(N)))
    assert gain[0, 0, 6] == pytest.approx(np.exp(300 / 4 * (6 / 96) ** 2), rel=1e-3)


def test_a_run_without_results_is_refused_and_the_table_knows_both(make_run, tmp_path):
    folder = make_run(True, finished=False)
    with pytest.raises(FileNotFoundError, match="no results yet"):
        export(folder, "maps", tmp_path / "out")
    assert json.loads((folder.path / "status.json").read_text())["state"] == "starting"
