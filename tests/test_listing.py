"""Lists in messages: they stay short, and say how many there are."""

from pathlib import Path

import numpy as np
import pytest

from napari_cryospin.checks.preflight import preflight
from napari_cryospin.io.open import open_particles
from napari_cryospin.listing import LONGEST_SHOWN, NAMES_SHOWN, first_of, first_paths, shared_folder, shortened
from napari_cryospin.settings import PRESETS
from napari_cryospin.widgets.particles.card import card_texts
from napari_cryospin.widgets.particles.inputs import source_of


def test_few_names_are_all_shown():
    assert first_of(["a", 2, "c"]) == "a, 2, c"
    assert first_of([]) == ""
    assert first_of(range(NAMES_SHOWN)).count(",") == NAMES_SHOWN - 1


def test_of_many_the_first_ten_and_the_number_of_the_rest():
    text = first_of([f"n{number}" for number in range(3000)], separator="; ")
    assert text.startswith("n0; n1; ")
    assert text.endswith("; n9 and 2,990 more")


@pytest.mark.parametrize("count", [1, 20, 1000])
def test_a_list_is_bounded_whatever_it_holds(count):
    assert len(first_paths(["x" * 500 + f"/{number}" * 300 for number in range(count)])) < 1600


def test_long_values_keep_both_ends():
    text = shortened("a" * 300 + "b" * 300)
    assert text.startswith("aaa")
    assert text.endswith("bbb")
    assert len(text) <= LONGEST_SHOWN
    assert shortened("short") == "short"


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["Extract/job7/a.mrcs", "Extract/job7/b.mrcs"], "Extract/job7"),
        (["Extract/job7/x/a.mrcs", "Extract/job7/b.mrcs"], "Extract/job7"),
        (["Extract/job7/a.mrcs", "Extract/job70/a.mrcs"], "Extract"),
        (["/data/a.mrcs", "/data/b/a.mrcs"], "/data"),
        (["/data/a.mrcs", "/other/a.mrcs"], ""),
        (["/data/a.mrcs", "data/a.mrcs"], ""),
        (["a.mrcs", "x/a.mrcs"], ""),
        (["Extract/a.mrcs"], ""),
        ([], ""),
    ],
)
def test_folder_that_paths_share(names, folder):
    assert shared_folder(names) == folder
    assert (f"all beneath {folder}: " in first_paths(names)) == bool(folder)


def test_paths_beneath_one_folder_are_written_without_it():
    assert first_paths(["Extract/job7/a.mrcs", "Extract/job7/x/b.mrcs"]) == "all beneath Extract/job7: a.mrcs, x/b.mrcs"


MANY = 1000
BOUND = 2200
"""Characters of the longest message: ten names or values and what is said about them."""


def star_blocks():
    block = "data_x\n\nloop_\n_rlnImageName #1\n1@stack.mrcs\n\n"
    return "p.star", block * MANY


def star_tables():
    return "p.star", "".join(f"data_m{n}\n\nloop_\n_rlnImageName #1\n1@stack.mrcs\n\n" for n in range(MANY))


def star_without_images():
    return "p.star", "".join(f"data_{n}\n\n_rlnVoltage {n}\n\n" for n in range(MANY))


def star_columns():
    columns = "".join(f"_some{n} #{n}\n" for n in range(MANY))
    row = " 1" * MANY
    return "p.star", f"data_\n\nloop_\n_rlnImageName\n_rlnDefocusU\n{columns}1@stack.mrcs 1{row}\n"


def star_stacks():
    rows = "".join(f"1@Extract/job007/Movies/{n}.mrcs\n" for n in range(MANY))
    return "p.star", f"data_\n\nloop_\n_rlnImageName\n{rows}"


def star_value():
    return "p.star", f"data_\n\nloop_\n_rlnImageName\n{'x' * 100_000}\n"


def star_line():
    return "p.star", "x" * 100_000 + "\n"


def star_groups(number="{}"):
    groups = "".join(f"{number.format(n)} 2.0\n" for n in range(MANY))
    optics = f"data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n{groups}\n"
    return "p.star", f"{optics}data_particles\n\nloop_\n_rlnImageName\n_rlnOpticsGroup\n1@stack.mrcs 99999\n"


def star_groups_twice():
    return star_groups(number="1")


def star_other_sizes():
    rows = "".join(f"1@stack.mrcs 0.{n}\n" for n in range(1, MANY))
    return "p.star", f"data_\n\nloop_\n_rlnImageName\n_rlnPixelSize\n{rows}"


def csg_results():
    return "p.csg", "results:\n" + "".join(f"  r{n}: {{metafile: '>x{n}.cs'}}\n" for n in range(MANY))


def csg_files():
    return "p.csg", csg_results()[1] + "  blob: {metafile: '>b.cs'}\n"


def csg_type():
    return "p.csg", f"group: {{type: {'x' * 100_000}}}\nresults: {{blob: {{metafile: '>b.cs'}}}}\n"


CASES = [value for name, value in list(globals().items()) if name.startswith(("star_", "csg_"))]


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_no_message_grows_with_the_file(make, project):
    name, text = make()
    (project / name).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError)) as raised:
        open_particles(project / name)
    assert len(str(raised.value)) < BOUND
    assert str(project / name) in str(raised.value)


@pytest.mark.parametrize("count", [1, MANY])
def test_no_table_without_uids_is_listed_in_full(project, count):
    np.save(project / "p", np.zeros(2, [(f"field{n}", "u1") for n in range(count)]))
    (project / "p.npy").rename(project / "p.cs")
    with pytest.raises(ValueError, match="expected a table with the field uid") as raised:
        open_particles(project / "p.cs")
    assert len(str(raised.value)) < BOUND


def test_no_card_grows_with_the_particles(project):
    """A stack of its own, a box and a pixel size for each of the particles."""
    columns = "_rlnImageName\n_rlnImagePixelSize\n_rlnImageSize\n"
    rows = "".join(f"1@gone/{n}.mrcs {1 + n / MANY} {2 * n + 16}\n" for n in range(MANY))
    (project / "p.star").write_text(f"data_\n\nloop_\n{columns}{rows}")
    particles = open_particles(project / "p.star", require_stacks=False)
    card = preflight(particles, PRESETS["quick"])
    assert len(str(card)) < 2 * BOUND
    assert "PROBLEM:       1,000 of 1,000 stacks missing: all beneath gone: 0.mrcs, 1.mrcs" in str(card)
    assert "9.mrcs and 990 more" in str(card)
    assert max(map(len, card_texts(card).values())) < BOUND
    with pytest.raises(ValueError, match=r"boxes of 16, 18, .* and 990 more px") as raised:
        particles.read_images(np.arange(MANY))
    assert len(str(raised.value)) < BOUND


def test_no_drop_of_many_files_is_listed_in_full():
    for suffix in (".star", "_ctf.pkl"):
        paths = [Path(f"{n}{suffix}") for n in range(MANY)]
        with pytest.raises(ValueError, match="and 990 more") as raised:
            source_of([Path("a.star"), *paths] if suffix == "_ctf.pkl" else paths)
        assert len(str(raised.value)) < BOUND
