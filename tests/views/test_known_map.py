"""Known maps and models brought to a run's map: moves that were made are found, and the agreement is measured."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.evaluation.map_alignment import apply_alignment
from napari_cryospin.io.mrc import read_map, write_map
from napari_cryospin.simulation.sample_maps import SAMPLE_MAPS
from napari_cryospin.views.known_map import density_of_model, fit_to_map, on_grid, read_known
from napari_cryospin.views.run_map import RunMap

PIXEL = 17.3


def small(name):
    """A sample map at 32 px that hold all of it."""
    density, own = read_map(SAMPLE_MAPS[name])
    return on_grid(density, own, 32, 2 * own, 40.0)


@pytest.fixture(scope="module")
def sample():
    return small("spliceosome")


@pytest.mark.parametrize("flipped", [False, True])
def test_a_turned_map_is_found_in_either_hand(sample, flipped):
    turn = Rotation.from_euler("ZYZ", [40, 70, 110], degrees=True).as_matrix()
    moved = apply_alignment(sample, turn, (12.0, -20.0, 8.0), PIXEL, hand_flipped=flipped)
    found = fit_to_map(RunMap(sample, PIXEL, 3), moved, "known.mrc", 40.0)
    assert found.hand_flipped == flipped
    assert ("other hand" in found.words) == flipped
    assert found.correlation > 0.9
    assert np.corrcoef(found.density.ravel(), sample.ravel())[0, 1] > 0.9  # shown in the frame of the run


def test_another_molecule_agrees_less(sample):
    same = fit_to_map(RunMap(sample, PIXEL, 3), sample, "spliceosome", 40.0)
    other = fit_to_map(RunMap(sample, PIXEL, 3), small("spike"), "spike", 40.0)
    assert same.correlation > 0.97
    assert other.correlation < same.correlation - 0.15
    assert other.resolution > same.resolution


def test_a_map_of_another_grid_is_read_onto_the_runs(sample, tmp_path):
    density, own = read_map(SAMPLE_MAPS["spliceosome"])
    write_map(tmp_path / "known.mrc", density + 5.0, own)  # a constant background is taken away
    read = read_known(tmp_path / "known.mrc", 32, 2 * own, 40.0)
    assert np.corrcoef(read.ravel(), sample.ravel())[0, 1] > 0.999
    write_map(tmp_path / "flat.mrc", density[:40], own)
    with pytest.raises(ValueError, match="expected a cube"):
        read_known(tmp_path / "flat.mrc", 32, 2 * own, 40.0)


def test_electrons_of_a_model_lie_where_its_atoms_are(tmp_path):
    pytest.importorskip("gemmi")
    places = np.array([[-20.0, 0, 0], [20, 8, -4], [0, -8, 4]])
    row = "ATOM  {:5d}  CA  ALA A{:4d}    {:8.3f}{:8.3f}{:8.3f}  1.00 20.00           C\n"
    text = [row.format(number, number, *(place + 100)) for number, place in enumerate(places, 1)]
    (tmp_path / "m.pdb").write_text("".join(text) + "END\n")
    density = density_of_model(tmp_path / "m.pdb", 32, 4.0)
    assert density.sum() == pytest.approx(18)
    for x, y, z in (places / 4.0 + 16).astype(int):  # the centre of mass is in the middle of the box
        assert density[z, y, x] == pytest.approx(6)
    with pytest.raises(ValueError, match="does not fit"):
        density_of_model(tmp_path / "m.pdb", 32, 1.0)
