"""Files of other jobs than those of particles: named for what they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile

from napari_cryospin.io.mrc import write_map
from napari_cryospin.io.open import open_particles
from support.stacks import write_stack


def save(path: Path, *names: str, count: int = 3) -> Path:
    """A .cs file whose fields have these names; paths are those of stack.mrcs."""
    kinds = {"path": "S12", "shape": ("u4", 2), "uid": "u8", "idx": "u4"}
    fields = [(name, kinds.get(name.split("/")[-1], "f4")) for name in ("uid", *names)]
    table = np.zeros(count, [(name, *kind) if isinstance(kind, tuple) else (name, kind) for name, kind in fields])
    table["uid"] = np.arange(count)
    for name in names:
        table[name] = {"path": b"stack.mrcs", "psize_A": 2.0, "shape": 16, "sign": 1.0}.get(name.split("/")[-1], 0)
    with path.open("wb") as file:
        np.save(file, table)
    return path


BLOB = ("blob/path", "blob/idx", "blob/shape", "blob/psize_A", "blob/sign")
CTF = ("ctf/exp_group_id", "ctf/accel_kv")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((*BLOB, "blob/res_A", "blob/import_sig"), "found class averages or templates, expected particles"),
        (("map/path", "map/shape", "map/psize_A", "map_sharp/path"), r"found volumes \(fields map/...\), expected"),
        (("map_half_A/path", "mask_refine/path"), r"found volumes \(fields map_half_A/...\)"),
        (("mask/path", "mask/psize_A"), r"found masks \(fields mask/...\)"),
        (("movie_blob/path", "gain_ref_blob/path", *CTF), r"found exposures: movies \(fields movie_blob/...\)"),
        (("micrograph_blob/path", "mscope_params/accel_kv", *CTF), "found exposures: micrographs"),
        (("micrograph_blob_non_dw/path", "rigid_motion/path"), "found exposures: micrographs"),
        (("location/micrograph_path", "pick_stats/power", *CTF), "found positions of particles without their images"),
        (("alignments3D/pose", *CTF), "no field blob/path; a passthrough file may have it"),
    ],
)
def test_cryosparc_tables_of_other_things(project: Path, fields: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=rf"x.cs: {message}"):
        open_particles(save(project / "x.cs", *fields))


def test_particles_with_such_a_field_or_file_are_particles(project: Path) -> None:
    """Fields beside the images' say so, in the file itself or in a passthrough file."""
    save(project / "ctf.cs", "location/center_x_frac", "alignments2D/shift")
    assert len(open_particles(save(project / "a.cs", *BLOB))) == 3
    assert len(open_particles(save(project / "a.cs", *BLOB, "blob/res_A", "alignments2D/shift"))) == 3
    assert len(open_particles(save(project / "a.cs", *BLOB, "blob/res_A"), passthrough=[project / "ctf.cs"])) == 3
    assert len(open_particles(save(project / "a.cs", *BLOB, "micrograph_blob/idx"))) == 3


SHEET = """
group: {{name: x, title: X, type: {group}}}
results:
  blob: {{metafile: '>a.cs', num_items: 3, type: {result}.blob}}
version: v4.4.1
"""


@pytest.mark.parametrize(
    ("group", "result", "message"),
    [
        ("template", "template", r"found a group of type template \(class averages or templates\), expected particle"),
        ("exposure", "exposure", r"found a group of type exposure \(micrographs or movies\), expected particle"),
        ("volume", "volume", r"found a group of type volume \(maps\), expected particle"),
        ("flexible_mesh", "flexible_mesh", "found a group of type flexible_mesh, expected particle"),
        ("particle", "template", "found a group of type template"),
    ],
)
def test_groups_of_other_things(project: Path, group: str, result: str, message: str) -> None:
    save(project / "a.cs", *BLOB)
    (project / "g.csg").write_text(SHEET.format(group=group, result=result))
    with pytest.raises(ValueError, match=rf"g.csg: {message}"):
        open_particles(project / "g.csg")


def test_a_group_that_says_no_type_is_read(project: Path) -> None:
    save(project / "a.cs", *BLOB)
    (project / "g.csg").write_text("results: {blob: {metafile: '>a.cs'}}")
    assert len(open_particles(project / "g.csg")) == 3


def test_two_files_of_cryosparc_in_one(project: Path) -> None:
    """Numpy would read the first table, YAML the last sheet, and neither would say so."""
    path = save(project / "a.cs", *BLOB)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(ValueError, match=r"a.cs: more follows after the table, expected one table"):
        open_particles(path)
    (project / "g.csg").write_text(SHEET.format(group="particle", result="particle") * 2)
    with pytest.raises(ValueError, match=r"g.csg: found several `results`, expected one"):
        open_particles(project / "g.csg")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["rlnMicrographName", "rlnCtfImage", "rlnDefocusU"], r"these are micrographs \(rlnMicrographName\)"),
        (["rlnMicrographMovieName", "rlnOpticsGroup"], "these are movies"),
        (["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"], "these are picked positions without images"),
        (["rlnMicrographName", "rlnMicrographCoordinates"], "these are lists of picked positions"),
        (["rlnReferenceImage", "rlnClassDistribution"], "these are class averages or references"),
        (["rlnTomoName", "rlnTomoTiltSeriesStarFile"], "these are tomograms"),
        (["rlnExperimentalDataStarFile", "rlnModelStarFile"], "its particles are in the file ..._data.star"),
        (["rlnSpectralIndex", "rlnFourierShellCorrelationCorrected"], "these are curves of a postprocessing"),
        (["rlnPipeLineProcessName"], "these are the jobs of a project"),
    ],
)
def test_star_files_of_other_things(tmp_path: Path, columns: list[str], message: str) -> None:
    starfile.write(
        {"optics": pd.DataFrame({"rlnOpticsGroup": [1]}), "x": pd.DataFrame({c: ["1"] for c in columns})},
        tmp_path / "x.star",
    )
    with pytest.raises(
        ValueError, match=rf"x.star: no particles: no table .* \(found data_optics, data_x\): .*{message}"
    ):
        open_particles(tmp_path / "x.star")


def test_unknown_tables_are_listed(tmp_path: Path) -> None:
    starfile.write({"x": pd.DataFrame({"someColumn": [1]})}, tmp_path / "x.star")
    with pytest.raises(ValueError, match=r"no table with a column rlnImageName \(found data_x\)$"):
        open_particles(tmp_path / "x.star")


def test_subtomograms(write_star, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    path = write_star({"optics": optics.assign(rlnImageDimensionality=3), "particles": rows})
    with pytest.raises(ValueError, match="rlnImageDimensionality is not 2: these are subtomograms, expected images"):
        open_particles(path)


def test_a_map_in_place_of_a_stack(tmp_path: Path) -> None:
    cube = np.random.default_rng(0).normal(size=(16, 16, 16))
    write_map(tmp_path / "map.mrc", cube, 1.0)
    with pytest.raises(ValueError, match=r"map.mrc: found a volume .*, expected a stack of images; name it .mrcs"):
        open_particles(tmp_path / "map.mrc", pixel_size=1.0)
    (tmp_path / "map.mrc").rename(tmp_path / "stack.mrcs")
    assert len(open_particles(tmp_path / "stack.mrcs", pixel_size=1.0)) == 16
    write_stack(tmp_path / "stack.mrc", cube, 1.0)
    assert len(open_particles(tmp_path / "stack.mrc", pixel_size=1.0)) == 16


@pytest.mark.parametrize(
    ("name", "beside", "message"),
    [
        (
            "run_it025_classes",
            "run_it025_model",
            "run_it025_model.star is beside it.* should be in run_it025_data.star",
        ),
        ("run_it025_classes", "run_it025_data", "so RELION names them.* are in run_it025_data.star"),
        ("run_it025_class001", "other", "so RELION names them"),
        ("run_class", "run_model", "run_model.star is beside it"),
        ("run_unmasked_classes", "run_model", "run_model.star is beside it"),
        ("cryosparc_P3_J12_020_class_averages", "other", r"by its name.* such as \.\.\._particles.cs"),
        ("class_averages", "other", "by its name"),
        ("J13_templates_selected", "other", "by its name"),
    ],
)
@pytest.mark.parametrize("suffix", [".mrcs", ".mrc"])
def test_class_averages_without_a_table(tmp_path: Path, name: str, beside: str, message: str, suffix: str) -> None:
    path = tmp_path / (name + suffix)
    write_stack(path, np.ones((3, 16, 16)), 2.0)
    (tmp_path / f"{beside}.star").touch()
    with pytest.raises(
        ValueError, match=rf"{path.name}: found class averages \(.*{message}.*give the stack another name"
    ):
        open_particles(path, pixel_size=2.0)


@pytest.mark.parametrize("name", ["run_classes", "particles_class", "class3", "first_class", "J12_020_particles"])
def test_stacks_that_may_be_particles_are_read(tmp_path: Path, name: str) -> None:
    """A user names particles after the class that they were sorted to."""
    write_stack(tmp_path / f"{name}.mrcs", np.ones((3, 16, 16)), 2.0)
    assert len(open_particles(tmp_path / f"{name}.mrcs", pixel_size=2.0)) == 3


def test_a_stack_that_is_no_stack_of_squares(tmp_path: Path) -> None:
    write_stack(tmp_path / "mic.mrcs", np.zeros((1, 40, 60)), 1.0)
    with pytest.raises(ValueError, match="images of 60 x 40 px; expected square ones"):
        open_particles(tmp_path / "mic.mrcs", pixel_size=1.0)
