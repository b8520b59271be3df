"""RELION STAR files: reading."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_cryospin.geometry.angles import rotation_from_euler
from napari_cryospin.io.star.particles import read_star_particles
from support.stacks import write_stack

Write = Callable[..., Path]


@pytest.fixture
def flat(rows: pd.DataFrame) -> pd.DataFrame:
    """The same particles as RELION 3.0 has them: origins in pixels, microscope and detector in every row."""
    rows = rows.drop(columns=["rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst"])
    microscope = {"rlnVoltage": 300.0, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1}
    origins = {"rlnOriginX": [0.5, -1.0, 0.25], "rlnOriginY": [0.0, 1.5, -0.25]}
    return rows.assign(**microscope, **origins, rlnDetectorPixelSize=5.0, rlnMagnification=25000.0)


def test_relion31(star: Path, images: np.ndarray) -> None:
    particles = read_star_particles(star)
    assert len(particles) == 3
    np.testing.assert_array_equal(particles.slice_index, [2, 0, 5])
    np.testing.assert_array_equal(particles.box_sizes, 16)
    np.testing.assert_array_equal(particles.pixel_sizes, 2.0)
    np.testing.assert_allclose(particles.rotations, rotation_from_euler([[30, 50, 70], [0, 90, 0], [10, 20, 30]]))
    np.testing.assert_array_equal(particles.shifts, [[1, 0], [-2, 3], [0.5, -0.5]])
    np.testing.assert_array_equal(particles.read_images([0, 1, 2]), images[[2, 0, 5]])
    ctf = particles.ctf
    assert ctf is not None
    np.testing.assert_array_equal(ctf.defocus_u, [15000, 16000, 17000])
    np.testing.assert_array_equal(ctf.voltage, 300)
    np.testing.assert_array_equal(ctf.phase_shift, 0)
    np.testing.assert_array_equal(ctf.scale, 1)
    assert particles.half_sets is None
    assert not particles.ctf_premultiplied
    assert not particles.phase_flipped
    assert particles.notes == ()


def test_relion30_is_the_same(write_star: Write, flat: pd.DataFrame, star: Path) -> None:
    old, new = read_star_particles(write_star({"": flat}, "flat.star")), read_star_particles(star)
    for name in ("rotations", "shifts", "pixel_sizes", "slice_index"):
        np.testing.assert_allclose(getattr(old, name), getattr(new, name), err_msg=name)
    assert old.ctf is not None
    assert new.ctf is not None
    for name, values in vars(new.ctf).items():
        np.testing.assert_array_equal(getattr(old.ctf, name), values, err_msg=name)


def test_magnification_is_10000_where_absent(write_star: Write, flat: pd.DataFrame) -> None:
    path = write_star({"": flat.drop(columns="rlnMagnification")})
    particles = read_star_particles(path)
    np.testing.assert_allclose(particles.pixel_sizes, 5.0)
    assert "no rlnMagnification: 10000 is taken, RELION's default" in particles.notes


def test_what_is_not_used_is_said(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Aberrations are used, and said to be not where there is no CTF to use them with."""
    tilted = optics.assign(rlnBeamTiltX=0.1, rlnBeamTiltY=0.0, rlnMagMat00=1.0, rlnMagMat11=1.02)
    particles = read_star_particles(write_star({"optics": tilted, "particles": rows}))
    assert particles.aberrations is not None
    assert particles.notes == ("aberrations are corrected for: rlnBeamTiltX, rlnMagMat11",)
    without = rows.drop(columns=["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"])
    particles = read_star_particles(write_star({"optics": tilted, "particles": without}))
    assert particles.aberrations is None
    assert "not used: rlnBeamTiltX, rlnMagMat11" in particles.notes


def test_blocks_in_another_order(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    general = pd.DataFrame({"rlnTomoSubTomosAre2DStacks": [1]})
    path = write_star({"particles": rows, "general": general, "optics": optics})
    np.testing.assert_array_equal(read_star_particles(path).pixel_sizes, 2.0)


def test_optics_groups_of_mixed_boxes(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    path = write_star({})
    large = rng.normal(size=(2, 32, 32)).astype(np.float32)
    write_stack(path.parent / "large.mrcs", large, 1.0)
    second = optics.assign(rlnOpticsGroup=7, rlnImagePixelSize=1.0, rlnImageSize=32, rlnVoltage=200.0)
    rows = rows.assign(
        rlnOpticsGroup=[7, 1, 7], rlnImageName=["000002@large.mrcs", "000001@stack.mrcs", "000001@large.mrcs"]
    )
    particles = read_star_particles(write_star({"optics": pd.concat([optics, second]), "particles": rows}))
    np.testing.assert_array_equal(particles.box_sizes, [32, 16, 32])
    np.testing.assert_array_equal(particles.pixel_sizes, [1, 2, 1])
    np.testing.assert_array_equal(particles.optics_groups, [1, 0, 1])
    assert particles.ctf is not None
    np.testing.assert_array_equal(particles.ctf.voltage, [200, 300, 200])
    np.testing.assert_array_equal(particles.read_images([0, 2]), large[[1, 0]])
    with pytest.raises(ValueError, match=r"boxes of 16, 32 px; expected one box"):
        particles.read_images([0, 1])


def test_particles_come_before_optics_in_the_look_up(
    write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame
) -> None:
    path = write_star({"optics": optics, "particles": rows.assign(rlnAmplitudeContrast=[0.07, 0.08, 0.09])})
    particles = read_star_particles(path)
    assert particles.ctf is not None
    np.testing.assert_allclose(particles.ctf.amplitude_contrast, [0.07, 0.08, 0.09])


@pytest.mark.parametrize("field", ["rlnCtfDataAreCtfPremultiplied", "rlnCtfDataArePhaseFlipped"])
def test_what_was_done_to_the_images(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame, field: str) -> None:
    particles = read_star_particles(write_star({"optics": optics.assign(**{field: 1}), "particles": rows}))
    assert particles.ctf_premultiplied == (field == "rlnCtfDataAreCtfPremultiplied")
    assert particles.phase_flipped == (field == "rlnCtfDataArePhaseFlipped")


def test_half_sets_only_where_both_occur(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    both = read_star_particles(write_star({"optics": optics, "particles": rows.assign(rlnRandomSubset=[1, 2, 1])}))
    np.testing.assert_array_equal(both.half_sets, [1, 2, 1])
    one = read_star_particles(write_star({"optics": optics, "particles": rows.assign(rlnRandomSubset=1)}))
    assert one.half_sets is None


def test_no_defocus_means_ctf_off(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    rows = rows.drop(columns=["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"])
    particles = read_star_particles(write_star({"optics": optics, "particles": rows}))
    assert particles.ctf is None
    assert "CTF is off" in particles.notes[0]


def test_poses_may_be_absent(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    rows = rows[[name for name in rows if not name.startswith(("rlnAngle", "rlnOrigin"))]]
    particles = read_star_particles(write_star({"optics": optics, "particles": rows}))
    assert particles.rotations is None
    assert particles.shifts is None


def test_real_relion31(shared_data: Path) -> None:
    particles = read_star_particles(shared_data / "stacks" / "relion31.star")
    assert len(particles) == 5
    assert particles.pixel_sizes[0] == 2.806
    assert particles.half_sets is None
    np.testing.assert_allclose(particles.shifts[1], [-0.25248, 0.403454])
    assert particles.read_images(range(5)).shape == (5, 256, 256)


def test_real_relion30(shared_data: Path) -> None:
    particles = read_star_particles(shared_data / "stacks" / "empiar_10076_7.star")
    np.testing.assert_allclose(particles.pixel_sizes, 5e4 / 38168)
    assert particles.rotations is None
    assert particles.read_images([6]).shape == (1, 320, 320)


def test_real_relion5(shared_data: Path) -> None:
    particles = read_star_particles(shared_data / "files" / "relion5.star", require_stacks=False)
    assert len(particles) == 17
    np.testing.assert_array_equal(particles.box_sizes, 448)
    np.testing.assert_array_equal(particles.pixel_sizes, 0.89)
    np.testing.assert_array_equal(particles.half_sets[:4], [1, 2, 2, 1])


def test_another_programs_simulation(shared_data: Path) -> None:
    """Without rlnMagnification; its stack lies in another folder than it says."""
    folder = shared_data / "stacks"
    truth = np.load(folder / "10076_classD_32_sim_pose_ctf.npz")
    particles = read_star_particles(folder / "10076_classD_32_sim.star", data_dir=folder)
    np.testing.assert_allclose(particles.pixel_sizes, 13.1)
    np.testing.assert_allclose(particles.rotations, truth["rot"], atol=1e-6)
    np.testing.assert_allclose(particles.shifts, truth["trans"] * 32 * 13.1, atol=1e-4)
    np.testing.assert_allclose(particles.ctf.phase_shift, 90)


def test_many_rows_take_no_memory_of_images(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    many = pd.concat([rows] * 7000, ignore_index=True)
    path = write_star({"optics": optics, "particles": many})
    tracemalloc.start()
    particles = read_star_particles(path)
    particles.read_images(range(10))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * path.stat().st_size  # the text and the columns, nothing that grows with the box
    assert len(particles) == 21000


def test_line_ends_and_byte_order_mark_of_windows(
    write_star: Callable[..., Path], optics: pd.DataFrame, rows: pd.DataFrame
) -> None:
    path = write_star({"optics": optics, "particles": rows})
    expected = read_star_particles(path)
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + text[text.index("data_optics") :].replace("\n", "\r\n").encode())
    found = read_star_particles(path)
    np.testing.assert_array_equal(found.pixel_sizes, expected.pixel_sizes)
    np.testing.assert_array_equal(found.rotations, expected.rotations)
    assert found.stacks == expected.stacks
