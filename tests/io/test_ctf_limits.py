"""Limits of the CTF's columns, from both sides, in each kind of file that has them."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_cryospin.io.ctf_limits import LARGEST_GAIN
from napari_cryospin.io.open import open_particles

Write = Callable[..., Path]


@pytest.fixture
def opened(write_star: Write, optics: pd.DataFrame, rows: pd.DataFrame) -> Callable[..., Any]:
    """Particles of a file with some columns changed; `rlnImagePixelSize` is one of the optics groups."""

    def read(pixel_size: float = 2.0, **changes: object) -> Any:
        groups = optics.assign(rlnImagePixelSize=pixel_size)
        return open_particles(write_star({"optics": groups, "particles": rows.assign(**changes)}))

    return read


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("rlnCtfScalefactor", [1.0, 0.0, 0.0], "row 2, rlnCtfScalefactor: found 0, expected a scale factor above 0"),
        ("rlnCtfScalefactor", [1.0, 1.0, -0.5], "row 3, rlnCtfScalefactor: found -0.5, expected a scale factor"),
        ("rlnCtfScalefactor", [1.0, 1e9, 1.0], "row 2, rlnCtfScalefactor: found 1e\\+09, expected a scale factor"),
        (
            "rlnCtfBfactor",
            [0.0, 0.0, -480.0],
            "row 3, rlnCtfBfactor: found -480, expected one that raises no",
        ),
        ("rlnCtfBfactor", [2e4, 0.0, 0.0], "row 1, rlnCtfBfactor: found 20000, expected a B-factor in A\\^2, at most"),
        (
            "rlnPhaseShift",
            [90.0, 5156.6, 90.0],
            "row 2, rlnPhaseShift: found 5156.6, expected a phase shift",
        ),
        ("rlnPhaseShift", [-400.0, 0.0, 0.0], "row 1, rlnPhaseShift: found -400, expected a phase shift of at most"),
        ("rlnDefocusV", [15000.0, -2e5, 15000.0], "row 2, rlnDefocusV: found -200000, expected a defocus in A"),
    ],
)
def test_what_no_microscope_has_is_refused(
    opened: Callable[..., Any], column: str, values: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=f"particles.star: {message}"):
        opened(**{column: values})


def test_the_number_of_such_rows_is_told(opened: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"of 0.001 to 100 \(2 such rows\)$"):
        opened(rlnCtfScalefactor=[0.0, 1.0, 0.0])
    with pytest.raises(ValueError, match=r"of 0.001 to 100$"):
        opened(rlnCtfScalefactor=[0.0, 1.0, 1.0])


@pytest.mark.parametrize("factor", [1e-4, 1e-10], ids=["micrometres", "metres"])
@pytest.mark.parametrize("sign", [1, -1])
def test_defocus_in_micrometres(opened: Callable[..., Any], factor: float, sign: int) -> None:
    values = {name: sign * factor * np.array([15000, 16000, 17000.0]) for name in ("rlnDefocusU", "rlnDefocusV")}
    with pytest.raises(ValueError, match=r"row 1, rlnDefocusU: found .*, expected a defocus in A .*micrometres"):
        opened(**values)


@pytest.mark.parametrize(
    ("defocus", "note"),
    [
        ([-15000, -16000, -17000], "overfocus throughout: RELION's underfocus is positive"),
        ([15000, -16000, 17000], "overfocus in 1 of 3 rows, first row 2"),
        ([1500, 1600, 1700], "nanometres"),
        ([15000, 16000, 1.7], "defocus below 100 A in 1 of 3 rows, first row 3"),
    ],
)
def test_an_unusual_defocus_is_said(opened: Callable[..., Any], defocus: list[float], note: str) -> None:
    assert any(note in said for said in opened(rlnDefocusU=defocus, rlnDefocusV=defocus).notes)


def test_usual_values_and_no_defocus_are_admitted_in_silence(opened: Callable[..., Any]) -> None:
    assert opened(rlnPhaseShift=[90.0, 88.0, 120.0], rlnCtfBfactor=[0, 100, 500.0]).notes == ()
    assert opened(rlnDefocusU=0.0, rlnDefocusV=0.0).notes == ()
    assert opened(rlnCtfScalefactor=[0.5, 1.0, 1.5]).notes == ()


def test_a_phase_shift_in_radians_and_cs_in_metres_are_said(opened: Callable[..., Any]) -> None:
    assert any(note.startswith("rlnPhaseShift: at most 1.57 degrees") for note in opened(rlnPhaseShift=1.5708).notes)
    assert any("0.0027 mm: metres" in note for note in opened(rlnSphericalAberration=0.0027).notes)
    assert opened(rlnSphericalAberration=0.01).notes == ()  # of a corrected microscope


def test_a_b_factor_is_judged_by_what_it_does_to_the_images(opened: Callable[..., Any]) -> None:
    """`exp(-B s^2 / 4)` at Nyquist, `1 / (2 pixels)`, may be 10 at most."""
    for pixel_size in (2.0, 8.0):
        limit = -16 * pixel_size**2 * np.log(LARGEST_GAIN)
        note = next(note for note in opened(pixel_size, rlnCtfBfactor=[0.99 * limit, 0, 0]).notes)
        assert note.startswith("rlnCtfBfactor: below 0 in 1 rows")
        with pytest.raises(ValueError, match="expected one that raises no frequency by more than 10"):
            opened(pixel_size, rlnCtfBfactor=[1.01 * limit, 0, 0])


def cs_file(folder: Path, **changes: Any) -> Path:
    """Three particles of the stack `stack.mrcs` with a CTF, in cryoSPARC's units."""
    fields: dict[str, Any] = {
        "uid": np.arange(3, dtype=np.uint64),
        "blob/path": np.array([b">stack.mrcs"] * 3),
        "blob/idx": np.arange(3, dtype=np.uint32),
        "blob/psize_A": np.full(3, 2.0, np.float32),
        "ctf/accel_kv": np.full(3, 300.0, np.float32),
        "ctf/cs_mm": np.full(3, 2.7, np.float32),
        "ctf/amp_contrast": np.full(3, 0.1, np.float32),
        "ctf/df1_A": np.full(3, 15000.0, np.float32),
        "ctf/df2_A": np.full(3, 15000.0, np.float32),
        "ctf/df_angle_rad": np.full(3, 1.0, np.float32),
    } | {f"ctf/{name}": np.asarray(values, np.float32) for name, values in changes.items()}
    table = np.empty(3, [(name, values.dtype) for name, values in fields.items()])
    for name, values in fields.items():
        table[name] = values
    with (folder / "particles.cs").open("wb") as file:
        np.save(file, table)
    return folder / "particles.cs"


def test_messages_about_a_cs_file_have_its_names_and_units(project: Path) -> None:
    with pytest.raises(ValueError, match=r"row 1, ctf/phase_shift_rad: found 90, expected .* \(6.28 rad\)"):
        open_particles(cs_file(project, phase_shift_rad=[90, 90, 90]))
    with pytest.raises(ValueError, match=r"row 2, ctf/df_angle_rad: found 124, expected .* \(12.6 rad\)"):
        open_particles(cs_file(project, df_angle_rad=[1.0, 124, 1.0]))
    with pytest.raises(ValueError, match=r"row 1, ctf/df1_A: found 1.5, expected a defocus in A"):
        open_particles(cs_file(project, df1_A=[1.5, 2, 1], df2_A=[1.5, 2, 1]))
    notes = open_particles(cs_file(project, df1_A=[-15000] * 3, df2_A=[-14000] * 3)).notes
    assert any(note.startswith("overfocus throughout") for note in notes)


def test_a_pickled_ctf_has_the_same_limits(project: Path) -> None:
    def opened(defocus: float) -> Any:
        table = np.tile([16, 2.0, defocus, defocus, 0, 300, 2.7, 0.1, 0], (6, 1))
        (project / "ctf.pkl").write_bytes(pickle.dumps(table))
        return open_particles(project / "stack.mrcs", ctf=project / "ctf.pkl")

    with pytest.raises(ValueError, match=r"ctf.pkl: row 1, defocus_u: found 1.5, expected a defocus in A"):
        opened(1.5)
    assert any(note.startswith("overfocus throughout") for note in opened(-15000).notes)
