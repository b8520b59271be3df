"""Which particles are related, as STAR and cryoSPARC files state it."""

import numpy as np
import pandas as pd
import pytest

from napari_cryospin.io.open import open_particles


@pytest.fixture
def many_rows(write_star, optics):
    """Writes a STAR file of six images with further columns, and opens it."""

    def make(flat=False, **columns):
        names = [f"{number + 1:06d}@stack.mrcs" for number in range(6)]
        table = pd.DataFrame({"rlnImageName": names, "rlnOpticsGroup": 1} | columns)
        if flat:
            table = table.drop(columns="rlnOpticsGroup").assign(rlnDetectorPixelSize=2.0, rlnMagnification=10000.0)
        return open_particles(write_star({"": table} if flat else {"optics": optics, "particles": table}))

    return make


def groups_of(numbers):
    """Rows of each group of at least two."""
    numbers = np.asarray(numbers)
    found = [tuple(np.flatnonzero(numbers == number)) for number in np.unique(numbers[numbers >= 0])]
    return sorted(rows for rows in found if len(rows) > 1)


@pytest.mark.parametrize("flat", [False, True])
def test_tubes_of_a_star_file_belong_to_their_micrograph(many_rows, flat):
    micrographs = ["a.mrc", "a.mrc", "b.mrc", "b.mrc", "a.mrc", "b.mrc"]
    particles = many_rows(flat, rlnHelicalTubeID=[1, 2, 1, 2, 1, 0], rlnMicrographName=micrographs)
    assert groups_of(particles.relations[:, 0]) == [(0, 4)]
    assert particles.relations[5, 0] == -1  # RELION counts tubes from 1
    assert any(note.startswith("5 of 6 particles are segments of 4 helical tubes") for note in particles.notes)
    assert groups_of(particles.select([5, 4, 0]).relations[:, 0]) == [(1, 2)]


def test_without_micrographs_the_stack_stands_for_them(many_rows, project):
    (project / "other.mrcs").write_bytes((project / "stack.mrcs").read_bytes())
    names = ["1@stack.mrcs", "2@stack.mrcs", "1@other.mrcs", "2@other.mrcs", "3@stack.mrcs", "3@other.mrcs"]
    particles = many_rows(rlnImageName=names, rlnHelicalTubeID=[1, 1, 1, 1, 2, 2])
    assert groups_of(particles.relations[:, 0]) == [(0, 1), (2, 3)]


def test_what_was_made_of_one_image_is_related(many_rows):
    originals = ["1@big.mrcs", "1@big.mrcs", "2@big.mrcs", "3@big.mrcs", "2@big.mrcs", "None"]
    particles = many_rows(rlnImageOriginalName=originals)
    assert groups_of(particles.relations[:, 0]) == [(0, 1), (2, 4)]


@pytest.mark.parametrize("columns", [{}, {"rlnHelicalTubeID": [1, 2, 3, 4, 5, 6]}, {"rlnHelicalTubeID": 0}])
def test_particles_of_a_star_file_without_relations(many_rows, columns):
    particles = many_rows(**columns)
    assert particles.relations is None
    assert not any("half" in note for note in particles.notes)


@pytest.fixture
def cs_fields():
    return {
        "uid": np.arange(1, 7, dtype=np.uint64),
        "blob/path": np.array([b"stack.mrcs"] * 6),
        "blob/idx": np.arange(6, dtype=np.uint32),
        "blob/shape": np.full((6, 2), 16, np.uint32),
        "blob/psize_A": np.full(6, 2.0, np.float32),
    }


def save_cs(path, fields):
    table = np.empty(len(fields["uid"]), [(name, values.dtype, values.shape[1:]) for name, values in fields.items()])
    for name, values in fields.items():
        table[name] = values
    with path.open("wb") as file:
        np.save(file, table)
    return path


def test_copies_by_symmetry_expansion(project, cs_fields):
    """Of a passthrough file too; 0: not expanded."""
    sources = {"uid": cs_fields["uid"][::-1], "sym_expand/src_uid": np.array([70, 90, 0, 0, 70, 90], np.uint64)}
    further = save_cs(project / "further.cs", sources)
    particles = open_particles(save_cs(project / "a.cs", cs_fields), passthrough=[further])
    assert groups_of(particles.relations[:, 0]) == [(0, 4), (1, 5)]
    assert any("4 of 6 particles are copies of 2 particles by symmetry" in note for note in particles.notes)


@pytest.mark.parametrize("field", ["location/micrograph_uid", "location/micrograph_path", None])
def test_filaments_belong_to_their_micrograph(project, cs_fields, field):
    cs_fields["filament/filament_uid"] = np.array([5, 5, 5, 5, 7, 8], np.uint64)
    if field is not None:
        kind = np.uint64 if field.endswith("uid") else "S8"
        cs_fields[field] = np.array([11, 11, 12, 12, 11, 11]).astype(kind)
    particles = open_particles(save_cs(project / "a.cs", cs_fields))
    expected = [(0, 1), (2, 3)] if field is not None else [(0, 1, 2, 3)]
    assert groups_of(particles.relations[:, 0]) == expected
