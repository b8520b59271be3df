"""Aberrations in STAR and .cs files: their phases by formulas in numpy, their conversion, and bad values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from napari_cryospin.io.cryosparc.write import write_result_group
from napari_cryospin.io.open import open_particles
from napari_cryospin.io.star.particles import write_particles
from napari_cryospin.particles import CTF_PARAMETERS, Particles
from napari_cryospin.physics.aberrations import aberration_phase
from napari_cryospin.physics.ctf import ctf

Write = Callable[..., Path]
WAVELENGTH = 0.0196876153  # A, at 300 kV
FREQUENCIES = torch.from_numpy(np.random.default_rng(5).uniform(-0.25, 0.25, (40, 2)))
TILT = {"rlnBeamTiltX": 0.65, "rlnBeamTiltY": -0.88}
ODD, EVEN = "[1.7,1.2,25.5,0,0,-13.5]", "[2.2,27.0,4.1,31.2,139.0,9.0,1.8,9.9,-102]"
MATRIX = {"rlnMagMat00": 1.011, "rlnMagMat01": 0.004, "rlnMagMat10": -0.003, "rlnMagMat11": 0.993}


def odd_phase(particles: Particles) -> NDArray[np.float64]:
    assert particles.aberrations is not None
    odd = torch.from_numpy(particles.aberrations.odd[particles.aberrations.groups])
    return aberration_phase(odd, FREQUENCIES, 1.0, odd=True).numpy()


def ctf_values(particles: Particles) -> NDArray[np.float64]:
    """The CTF with its symmetric aberrations."""
    assert particles.aberrations is not None
    even = torch.from_numpy(particles.aberrations.even[particles.aberrations.groups])
    columns = torch.from_numpy(np.stack([getattr(particles.ctf, name) for name in CTF_PARAMETERS], axis=-1))
    return ctf(columns, FREQUENCIES, 1.0, aberration_phase(even, FREQUENCIES, 1.0, odd=False)).numpy()


def polar() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    k = FREQUENCIES.numpy()
    return k, np.hypot(*k.T), np.arctan2(k[:, 1], k[:, 0])


@pytest.fixture
def opened(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> Callable[..., Particles]:
    """Particles of a file whose optics group has further columns."""

    def read(**columns: object) -> Particles:
        return open_particles(write_star({"optics": optics.assign(**columns), "particles": rows}))

    return read


def test_a_beam_tilt_is_relions_phase(opened: Callable[..., Particles]) -> None:
    """`-2 pi Cs l^2 k^2 (k . tilt)`, with the tilt in radian: RELION's selfApplyBeamTilt and TiltHelper."""
    k, r, _ = polar()
    expected = -2 * np.pi * 2.7e7 * WAVELENGTH**2 * r**2 * (k @ [0.65e-3, -0.88e-3])
    np.testing.assert_allclose(odd_phase(opened(**TILT)), np.tile(expected, (3, 1)), rtol=1e-7, atol=1e-9)
    added = odd_phase(opened(**TILT, rlnOddZernike=ODD)) - odd_phase(opened(rlnOddZernike=ODD))
    np.testing.assert_allclose(added, np.tile(expected, (3, 1)), rtol=1e-7, atol=1e-9)


def test_groups_have_their_own(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> None:
    """In the optics groups, and for each particle in files of RELION 3.0."""
    second = optics.assign(rlnOpticsGroup=2, rlnEvenZernike="[0,1.5]")
    both = pd.concat([optics.assign(rlnEvenZernike=EVEN), second])
    particles = open_particles(write_star({"optics": both, "particles": rows.assign(rlnOpticsGroup=[2, 1, 2])}))
    assert particles.aberrations is not None
    even = particles.aberrations.even[particles.aberrations.groups]
    np.testing.assert_array_equal(even[:, :3], [[0, 1.5, 0], [2.2, 27, 4.1], [0, 1.5, 0]])
    np.testing.assert_array_equal(ctf_values(particles.select([1, 0])), ctf_values(particles)[[1, 0]])
    old = rows.drop(columns="rlnOpticsGroup").assign(
        rlnVoltage=300.0, rlnSphericalAberration=2.7, rlnAmplitudeContrast=0.1, rlnDetectorPixelSize=2.0
    )
    flat = open_particles(write_star({"": old.assign(rlnBeamTiltX=[0.1, 0.0, 0.1], rlnBeamTiltY=0.0)}))
    assert flat.aberrations is not None
    assert len(flat.aberrations.odd) == 2
    phases = odd_phase(flat)
    np.testing.assert_array_equal(phases[0], phases[2])
    assert not phases[1].any()


def test_neutral_values_are_none(opened: Callable[..., Particles]) -> None:
    neutral = {"rlnBeamTiltX": 0.0, "rlnBeamTiltY": 0.0, "rlnOddZernike": "[0,0,0,0,0,0]", "rlnEvenZernike": "[0,0]"}
    unity = dict(zip(MATRIX, [1.0, 0.0, 0.0, 1.0], strict=True))
    particles = opened(**neutral, **unity)
    assert particles.aberrations is None
    assert particles.notes == ()
    written_by_converters = opened(**dict.fromkeys(MATRIX, 0.0))
    assert written_by_converters.aberrations is None
    assert any("rlnMagMat00 to 11 are 0" in note for note in written_by_converters.notes)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"rlnOddZernike": "[1.0,abc]"}, r"row 1, rlnOddZernike: found '\[1.0,abc\]', expected numbers such as"),
        ({"rlnEvenZernike": "nan"}, "row 1, rlnEvenZernike: found 'nan', expected numbers such as"),
        ({**MATRIX, "rlnMagMat11": 0.0}, "row 1, rlnMagMat00 to 11: found 1.011 .*expected a matrix near 1 0 0 1"),
        ({**MATRIX, "rlnMagMat00": 30.0}, r"rlnMagMat00 to 11: found 30 .* of 0.5 to 2 \(3 such rows\)"),
        ({"rlnBeamTiltX": "much"}, "rlnBeamTiltX: found 'much', expected a number"),
    ],
)
def test_bad_values(opened: Callable[..., Particles], columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"particles.star: .*{message}"):
        opened(**columns)


def test_what_a_run_does_not_use_is_said(opened: Callable[..., Particles]) -> None:
    particles = opened(**TILT, rlnMtfFileName="mtf_k3.star")
    assert particles.notes == (
        "aberrations are corrected for: rlnBeamTiltX, rlnBeamTiltY",
        "not used: rlnMtfFileName",
    )
    assert particles.unused == ("rlnMtfFileName",)


def test_shifts_are_those_of_the_corrected_image(opened: Callable[..., Particles], tmp_path: Path) -> None:
    """RELION shifts the stored image, at `k`; the map's frequency there is `M k`."""
    particles, plain = opened(**MATRIX), opened()
    assert particles.aberrations is not None
    k, matrix = polar()[0], np.reshape(list(MATRIX.values()), (2, 2))
    np.testing.assert_allclose((k @ matrix.T) @ particles.shifts.T, k @ plain.shifts.T, atol=1e-12)
    write_particles(particles.source.parent / "out.star", particles, particles.rotations, particles.shifts)
    again = open_particles(particles.source.parent / "out.star")
    np.testing.assert_allclose(again.shifts, particles.shifts, atol=2e-6)


def cs_fields(**changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "uid": np.arange(4, dtype=np.uint64),
        "blob/path": np.array([b">stack.mrcs"] * 4),
        "blob/idx": np.arange(4, dtype=np.uint32),
        "blob/psize_A": np.full(4, 2.0, np.float32),
    }
    numbers = {"accel_kv": 300, "cs_mm": 2.7, "amp_contrast": 0.1, "df1_A": 15000, "df2_A": 14000, "df_angle_rad": 0.6}
    for name, value in (numbers | changed).items():
        fields[f"ctf/{name}"] = np.array([value] * 4, dtype=np.float32)
    return fields


def save(path: Path, fields: dict[str, Any]) -> Path:
    table = np.empty(4, [(name, values.dtype, values.shape[1:]) for name, values in fields.items()])
    for name, values in fields.items():
        table[name] = values
    with path.open("wb") as file:
        np.save(file, table)
    return path


LENGTHS = {
    "shift_A": [0.3, -0.2],
    "tilt_A": [5000.0, -7000.0],
    "trefoil_A": [900.0, 400.0],
    "tetra_A": [9000.0, -5000.0, 20000.0, 8000.0],
    "anisomag": [0.01, 0.002, -0.003, -0.008],
}


def test_phases_of_cryosparcs_lengths(project: Path) -> None:
    """The wave aberration's coefficients, in numpy: coma, three-fold, star and four-fold astigmatism."""
    particles = open_particles(save(project / "a.cs", cs_fields(**LENGTHS)))
    assert particles.aberrations is not None
    assert particles.aberrations.odd.shape == (1, 6)
    k, r, t = polar()
    three = r**3 * (np.stack([np.cos(3 * t), np.sin(3 * t)], -1) @ LENGTHS["trefoil_A"]) / 3
    odd = k @ LENGTHS["shift_A"] + WAVELENGTH**2 * (r**2 * (k @ LENGTHS["tilt_A"]) + three)
    np.testing.assert_allclose(odd_phase(particles)[0], -2 * np.pi * odd, rtol=1e-6, atol=1e-9)
    waves = np.stack([np.cos(2 * t), np.sin(2 * t), np.cos(4 * t) / 4, np.sin(4 * t) / 4], -1)
    even = 2 * np.pi * WAVELENGTH**3 * r**4 * (waves @ LENGTHS["tetra_A"])
    defocus = 14500 + 500 * np.cos(2 * (t - 0.6))
    chi = -np.pi * WAVELENGTH * r**2 * defocus + np.pi / 2 * 2.7e7 * WAVELENGTH**3 * r**4 + even
    expected = 0.1 * np.cos(chi) - np.sqrt(0.99) * np.sin(chi)
    np.testing.assert_allclose(ctf_values(particles)[0], expected, atol=1e-5)
    corrected = ", ".join(f"ctf/{name}" for name in LENGTHS)
    assert particles.notes == (f"aberrations are corrected for: {corrected}",)
    np.testing.assert_allclose(particles.aberrations.magnification[0], [[1.01, 0.002], [-0.003, 0.992]])


def test_a_matrix_that_is_no_magnification(project: Path) -> None:
    fields = cs_fields(anisomag=[0.0, 0.0, 0.0, 0.0])
    fields["ctf/anisomag"][2] = -1.0, 0, 0, 0  # singular with the 1 0 0 1 that is taken off in the file
    with pytest.raises(ValueError, match=r"a.cs: row 3, ctf/anisomag plus 1 0 0 1: found 0 0 0 1, expected a matrix"):
        open_particles(save(project / "a.cs", fields))


def test_from_cryosparc_to_relion_and_back(project: Path) -> None:
    """The tilt in mrad is the length over Cs; phases, CTF and matrix are the same after both conversions."""
    first = open_particles(save(project / "a.cs", cs_fields(**LENGTHS)))
    write_particles(project / "out.star", first, np.tile(np.eye(3), (4, 1, 1)), np.ones((4, 2)))
    star = open_particles(project / "out.star")
    optics = star.table.optics
    assert float(optics["rlnBeamTiltX"][0]) == pytest.approx(1e3 * 5000 / 2.7e7, rel=1e-5)
    assert float(optics["rlnMagMat11"][0]) == pytest.approx(0.992)
    np.testing.assert_allclose(star.shifts, np.ones((4, 2)), atol=1e-5)
    folder = project / "back"
    folder.mkdir()
    (_, data), notes = write_result_group(
        folder, star, star.rotations, star.shifts, errors=np.zeros(4), half_sets=np.zeros(4, np.int8)
    )
    second = open_particles(data)
    stored = np.load(data)
    for name, values in LENGTHS.items():
        np.testing.assert_allclose(stored[f"ctf/{name}"][0], values, rtol=2e-4, atol=2e-4, err_msg=name)
    for other in (star, second):
        np.testing.assert_allclose(odd_phase(other), odd_phase(first), atol=1e-3)
        np.testing.assert_allclose(ctf_values(other), ctf_values(first), atol=2e-3)
        np.testing.assert_allclose(other.shifts, np.ones((4, 2)), atol=1e-5)
    assert any("one sign for both programs" in note for note in notes)


def test_from_relion_to_cryosparc(opened: Callable[..., Particles], tmp_path: Path) -> None:
    """Terms that cryoSPARC has no length for are a part of defocus, phase shift and Cs: the CTF stays the same."""
    particles = opened(**TILT, rlnOddZernike=ODD, rlnEvenZernike=EVEN, **MATRIX)
    arguments = (particles, particles.rotations, particles.shifts)
    (_, data), notes = write_result_group(tmp_path, *arguments, errors=np.zeros(3), half_sets=np.zeros(3, np.int8))
    again = open_particles(data)
    np.testing.assert_allclose(odd_phase(again), odd_phase(particles), atol=1e-4)
    np.testing.assert_allclose(ctf_values(again), ctf_values(particles), atol=2e-3)
    np.testing.assert_allclose(again.shifts, particles.shifts, atol=1e-5)
    matrix = again.aberrations.magnification[0] if again.aberrations is not None else None
    np.testing.assert_allclose(matrix, np.reshape(list(MATRIX.values()), (2, 2)), rtol=1e-6)
    assert any("of low order are part of defocus" in note for note in notes)
    high = opened(rlnEvenZernike="[" + ",".join(["0"] * 9 + ["5"]) + "]")
    (tmp_path / "high").mkdir()
    _, notes = write_result_group(
        tmp_path / "high", high, high.rotations, high.shifts, errors=np.zeros(3), half_sets=np.zeros(3, np.int8)
    )
    assert any("orders above 4 are not carried over" in note for note in notes)


def test_real_coefficients_add_up_to_little(shared_data: Path) -> None:
    """Low orders of a refined file take back what the high ones bring along: it would not be so in another order."""
    particles = open_particles(shared_data / "files" / "relion5.star", require_stacks=False)
    assert particles.aberrations is not None
    c = particles.aberrations.even[0]
    assert abs(c[0] - c[2] + c[6]) < 0.1  # rad, at zero frequency
    assert abs(2 * c[2] - 6 * c[6]) / (np.pi * 0.0370145786) < 50  # A of defocus
    assert str(particles.aberrations) == "antisymmetric (beam tilt, trefoil), symmetric (tetrafoil), magnification"
    assert not any("not used" in note for note in particles.notes)
