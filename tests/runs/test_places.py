"""Places that nothing may be written to, however their paths are spelled."""

import pytest

from napari_cryospin.runs.places import check_place, real_path


@pytest.fixture
def lab(tmp_path):
    """A folder with particles, a link to it, and a run."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "particles.star").write_text("data_")
    (tmp_path / "linked").symlink_to(tmp_path / "data")
    for name in ("run/results", "run/history", "run/exported"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("input.json", "settings.json"):
        (tmp_path / "run" / name).write_text("{}")
    return tmp_path


@pytest.mark.parametrize("spelled", ["data/particles.star", "data/../data/particles.star", "linked/particles.star"])
def test_an_input_is_never_replaced(lab, spelled):
    with pytest.raises(ValueError, match=r"the input particles\.star is there"):
        check_place(lab / spelled, [lab / "data" / "particles.star"])
    with pytest.raises(ValueError, match=r"the input particles\.star is there"):
        check_place((lab / spelled).parent, [lab / "data" / "particles.star"], folder=True)
    check_place(lab / "data" / "others.star", [lab / "data" / "particles.star"])


@pytest.mark.parametrize("place", ["run", "run/results", "run/results/deeper", "run/history", "run/new/../results"])
def test_nothing_is_written_among_the_files_of_a_run(lab, place):
    with pytest.raises(ValueError, match="the files of the run run are there"):
        check_place(lab / place, [], folder=True)
    with pytest.raises(ValueError, match="the files of the run run are there"):
        check_place(lab / place / "map.mrc", [])


def test_a_folder_for_exports_may_be_in_a_run(lab):
    check_place(lab / "run" / "exported", [], folder=True)
    check_place(lab / "elsewhere", [], folder=True)


def test_a_link_to_itself_leads_nowhere(lab):
    (lab / "loop").symlink_to(lab / "loop")
    with pytest.raises(ValueError, match="leads nowhere"):
        real_path(lab / "loop")
