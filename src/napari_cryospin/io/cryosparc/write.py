"""Result groups of cryoSPARC: particles (.cs), and the sheet that lists the results in them (.csg).

The fields are those of cryoSPARC's own exports. The part of a field's name before the slash (blob, ctf, alignments3D,
...) is the result to which the field belongs, and by which cryoSPARC connects jobs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.geometry.angles import rotvec_from_rotation
from napari_cryospin.io.aberrations import ODD_SIGN_NOTE, Lengths, lengths_of
from napari_cryospin.io.cryosparc.read import CTF_FIELDS, LENGTHS, CsTable
from napari_cryospin.io.files import atomic_write, find_by_name
from napari_cryospin.io.mrc import MrcHeader, mrc_header
from napari_cryospin.listing import first_of
from napari_cryospin.particles import Particles, Picks

SHEET_VERSION = "v4.4.1"
"""Version of cryoSPARC in whose form the sheet is written."""
BESIDE = ">"
"""Mark before a path that is relative to the file in which it stands, and not to the project."""
LINKS = "stacks"
"""Name of the folder with links to stacks, which lie outside of cryoSPARC's project."""
ALIGNMENTS = "alignments3D"
"""Result that holds the poses. Others whose names begin so hold poses as well."""
MULTI = "alignments3D_multi"
"""Result that holds a pose for each of several classes, and the probabilities of the classes."""
UNKNOWN_FIELDS = ("resid_pow", "slice_pow", "image_pow", "cross_cor", "weight", "pose_ess", "shift_ess")
"""Fields of an alignment that jobs look for, but that only cryoSPARC can compute; they are written as 0."""


def write_result_group(
    folder: Path,
    particles: Particles,
    rotations: NDArray[np.floating],
    shifts: NDArray[np.floating],
    *,
    errors: ArrayLike,
    half_sets: NDArray[Any],
    scales: NDArray[Any] | None = None,
    belongs: NDArray[Any] | None = None,
    classes: NDArray[Any] | None = None,
    class_posterior: NDArray[Any] | None = None,
) -> tuple[tuple[Path, Path], tuple[str, ...]]:
    """Write particles with new alignments.

    Parameters
    ----------
    folder
        Existing folder, to which particles.csg and particles.cs are written.
    particles
        Particles of any format. Those of a .cs file keep all fields but alignments3D; for others, fields are made.
    rotations, shifts
        `(n, 3, 3)` rotations, and `(n, 2)` shifts in A, (x, y).
    errors
        `(n,)` errors of the images at these poses.
    half_sets
        `(n,)` half sets, 1 or 2. If all are 0, those of the input are written or, if it has none, 1 for all.
    scales
        `(n,)` scales of the signal (`alpha`). Default: 1.
    belongs
        `(n,)` probabilities that the images show the particle (`class_posterior`). Default: 1.
    classes, class_posterior
        `(n,)` class of each particle, from 0, and `(n, k)` probabilities of all classes, for `alignments3D_multi`.
        Default: there is one class.

    Returns
    -------
    tuple
        The two files (particles.csg, particles.cs), and notes for the user.

    Raises
    ------
    ValueError
        The box of a particle that does not come from a .cs file is not known.
    """
    notes: list[str] = []
    fields = (_kept if isinstance(particles.table, CsTable) else _made)(particles, folder, notes)
    fields |= _alignments(particles, rotations, shifts, np.asarray(errors), half_sets)
    for name, values in (("alpha", scales), ("class_posterior", belongs)):
        if values is not None:
            fields[f"{ALIGNMENTS}/{name}"] = values.astype(np.float32)
    if classes is not None and class_posterior is not None:
        fields[f"{ALIGNMENTS}/class"] = classes.astype(np.uint32)
        fields |= _class_alignments(fields, class_posterior)
        notes.append(f"{MULTI}: a particle has one pose, which is written for all of its classes")
    table = np.empty(len(particles), [(name, values.dtype, values.shape[1:]) for name, values in fields.items()])
    for name, values in fields.items():
        table[name] = values
    sheet, data = folder / "particles.csg", folder / "particles.cs"
    # Neither file gets its name before both are complete.
    with atomic_write(sheet) as part, atomic_write(data) as data_part:
        part.write_text(_sheet(fields, len(particles), data.name))
        with data_part.open("wb") as file:
            np.lib.format.write_array(file, table, allow_pickle=False)
    return (sheet, data), tuple(notes)


def _kept(particles: Particles, folder: Path, notes: list[str]) -> dict[str, NDArray[Any]]:
    """Return the fields of the input but its alignments; those of the first file go before those of passthrough files.

    Alignments of several classes (`alignments3D_multi`) are left out as well, because they are about other poses.
    """
    fields: dict[str, NDArray[Any]] = {}
    for part in reversed(particles.table.parts):
        fields |= {name: part[name] for name in part.dtype.names}
    others = [name for name in fields if name.startswith(ALIGNMENTS)]
    fields = {name: values for name, values in fields.items() if name not in others}
    results = dict.fromkeys(name.split("/")[0] for name in others if not name.startswith(f"{ALIGNMENTS}/"))
    if results:
        notes.append(f"left out, as they are about poses of an earlier job: {first_of(results)}")
    first = [name for name in particles.table.parts[0].dtype.names if name in fields]
    fields = {name: fields[name] for name in dict.fromkeys([*first, *fields])}
    paths = fields["blob/path"].astype(bytes)
    beside = np.char.startswith(paths, BESIDE.encode())
    if beside.any():  # These paths are relative to the input, and the new file lies in another folder.
        fields["blob/path"] = np.where(beside, _linked(particles.stacks, folder)[particles.stack_index], paths)
    return fields


def _made(particles: Particles, folder: Path, notes: list[str]) -> dict[str, NDArray[Any]]:
    """Make the fields of particles that do not come from a .cs file, and append notes for the user to `notes`."""
    links = _linked(particles.stacks, folder)
    fields: dict[str, NDArray[Any]] = {
        "uid": make_uids(particles),
        "blob/path": links[particles.stack_index],
        "blob/idx": particles.slice_index.astype(np.uint32),
        "blob/shape": np.repeat(particles.box_sizes[:, None], 2, axis=1).astype(np.uint32),
        "blob/psize_A": particles.pixel_sizes.astype(np.float32),
        "blob/sign": particles.contrast.astype(np.float32),
    }
    if (particles.box_sizes == 0).any():
        raise ValueError(f"{particles.source}: box not known, as stacks are missing; needed for blob/shape")
    fields |= _location(particles, notes)
    if particles.ctf_premultiplied or particles.phase_flipped:
        done = "multiplied by their CTF" if particles.ctf_premultiplied else "phase-flipped"
        notes.append(f"the images were {done}, which cryoSPARC cannot be told: it will correct their CTF again")
    if particles.unused:
        notes.append(f"not carried over: {', '.join(particles.unused)}")
    if particles.ctf is None:
        notes.append("no ctf: the particles have none, and most jobs of cryoSPARC will not take them")
        return fields
    count, lengths = len(particles), _lengths(particles, notes)
    ctf = lengths.ctf
    fields["ctf/type"] = np.full(count, b"imported")
    fields["ctf/exp_group_id"] = particles.optics_groups.astype(np.uint32)
    for name, (field, unit, _) in CTF_FIELDS.items():
        fields[field] = (getattr(ctf, name) * unit).astype(np.float32)
    fields["ctf/scale"] = ctf.scale.astype(np.float32)
    fields["ctf/scale_const"] = np.zeros(count, np.float32)
    fields |= {f"ctf/{name}": values.astype(np.float32) for name, values in lengths.fields.items()}
    fields["ctf/bfactor"] = np.zeros(count, np.float32)
    if ctf.b_factor.any():
        notes.append("rlnCtfBfactor is not carried over")
    return fields


def _lengths(particles: Particles, notes: list[str]) -> Lengths:
    """Return the aberrations in cryoSPARC's terms, 0 where there are none, and the CTF parameters that go with them."""
    ctf = particles.ctf
    assert ctf is not None
    if particles.aberrations is None:
        count = len(particles)
        return Lengths(
            {name.removeprefix("ctf/"): np.zeros((count, size)) for name, size in LENGTHS.items()}, ctf, False
        )
    lengths = lengths_of(particles.aberrations, ctf)
    notes.append(f"aberrations are carried over as lengths: {particles.aberrations}")
    if particles.aberrations.odd.any():
        notes.append(ODD_SIGN_NOTE)
    if lengths.ctf is not ctf:
        notes.append("symmetric aberrations of low order are part of defocus, phase shift and spherical aberration")
    if lengths.beyond:
        notes.append("rlnOddZernike, rlnEvenZernike: orders above 4 are not carried over, as cryoSPARC has none")
    return lengths


def _location(particles: Particles, notes: list[str]) -> dict[str, NDArray[Any]]:
    """Make the fields of where particles were picked; all or none, because jobs that read one of them read all.

    The sizes of the micrographs, without which there are no fractions, are read from their headers.
    """
    picks = particles.picks
    if picks is None:
        return {}
    headers = _micrograph_headers(picks, particles.source)
    if picks.coordinates is None or headers is None:
        missing = (
            "no coordinates" if picks.coordinates is None else "no size of the micrographs, which are not all found"
        )
        notes.append(f"micrograph names and coordinates are not carried over: {missing}")
        return {}
    row = picks.micrograph_index
    shapes = np.array([header.shape[-2:] for header in headers], dtype=np.uint32)
    fractions = (picks.coordinates / shapes[row, ::-1]).astype(np.float32)
    columns: dict[str, NDArray[Any]] = {
        "micrograph_uid": np.array([_seed(name) for name in picks.micrographs], dtype=np.uint64)[row],
        "exp_group_id": particles.optics_groups.astype(np.uint32),
        "micrograph_path": np.array([name.encode() for name in picks.micrographs])[row],
        "micrograph_shape": shapes[row],
        "micrograph_psize_A": np.array([header.voxel_size[0] for header in headers], dtype=np.float32)[row],
        "center_x_frac": fractions[:, 0],
        "center_y_frac": fractions[:, 1],
    }
    return {f"location/{name}": column for name, column in columns.items()}


def _micrograph_headers(picks: Picks, source: Path) -> list[MrcHeader] | None:
    """Read the headers of all micrographs; None where one is not found, or is no MRC file."""
    try:
        found = [find_by_name(name, source) for name in picks.micrographs]
        return None if None in found else [mrc_header(file) for file in found if file is not None]
    except (OSError, ValueError):
        return None


def _alignments(
    particles: Particles, rotations: NDArray[Any], shifts: NDArray[Any], errors: NDArray[Any], half_sets: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    count = len(particles)
    single, ones = np.float32, np.ones(count, np.float32)
    if not half_sets.any():
        half_sets = np.ones(count, np.int8) if particles.half_sets is None else particles.half_sets
    values = {
        "split": (half_sets - 1).astype(np.uint32),
        "shift": (particles.shifts_of_images(shifts) / particles.pixel_sizes[:, None]).astype(single),
        "pose": rotvec_from_rotation(rotations).astype(single),
        "psize_A": particles.pixel_sizes.astype(single),
        "error": errors.astype(single),
        "error_min": errors.astype(single),
        "alpha": ones,
        **{name: np.zeros(count, single) for name in UNKNOWN_FIELDS},
        "class_posterior": ones,
        "class": np.zeros(count, np.uint32),
        "class_ess": ones,
    }
    return {f"{ALIGNMENTS}/{name}": column for name, column in values.items()}


def _class_alignments(fields: dict[str, NDArray[Any]], posterior: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Make alignments to several classes: `(n, k, ...)`, but for half set and pixel size, as cryoSPARC 4.5 has them.

    All classes of a run have one frame, so that the pose is the same in each.
    """
    count = posterior.shape[1]
    made: dict[str, NDArray[Any]] = {}
    for name, values in fields.items():
        kind, _, part = name.partition("/")
        if kind == ALIGNMENTS:
            once = part in ("split", "psize_A")
            made[f"{MULTI}/{part}"] = values if once else np.repeat(values[:, None], count, axis=1)
    made[f"{MULTI}/class"] = np.tile(np.arange(count, dtype=np.uint32), (len(posterior), 1))
    made[f"{MULTI}/class_posterior"] = posterior.astype(np.float32)
    made[f"{MULTI}/class_ess"] = (1 / np.square(posterior).sum(1)).astype(np.float32)
    return made


def make_uids(particles: Particles) -> NDArray[np.uint64]:
    """Make the uids of the particles, `(n,)`, from the stack and the position of the image in it.

    The same image therefore has the same uid in every export. If an image occurs more than once among the particles,
    each of them has a uid of its own.
    """
    seeds = [_seed(str(stack.absolute())) for stack in particles.stacks]
    uids = _mixed(np.array(seeds, dtype=np.uint64)[particles.stack_index] + particles.slice_index.astype(np.uint64))
    while len(again := np.setdiff1d(np.arange(len(uids)), np.unique(uids, return_index=True)[1])):
        # An image that occurs more than once needs a new uid for each further time.
        uids[again] = _mixed(uids[again] + np.uint64(1))
    return uids


def _seed(name: str) -> int:
    """Make a number of 64 bits of a file's name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the numbers spread over all 64 bits, without collisions (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _linked(stacks: Sequence[Path], folder: Path) -> NDArray[np.bytes_]:
    """Link the stacks into a folder beside the .cs file, and return their names for that file.

    A missing stack keeps its name; one that cannot be linked is named by its absolute path.
    """
    names: list[str] = []
    for number, stack in enumerate(stacks):
        if not stack.is_file():
            names.append(str(stack))
            continue
        name = f"{BESIDE}{LINKS}/{stack.stem}.mrc"  # The suffix .mrc is the one that cryoSPARC uses for stacks.
        if name in names:
            name = f"{BESIDE}{LINKS}/{number}_{stack.stem}.mrc"
        names.append(name if _link(folder / name.removeprefix(BESIDE), stack) else str(stack.absolute()))
    return np.array([name.encode() for name in names])


def _link(link: Path, stack: Path) -> bool:
    """Make a link to a stack, and return whether that was possible. It replaces an older link, but no file."""
    try:
        link.parent.mkdir(exist_ok=True)
        if link.is_symlink():
            link.unlink()
        link.symlink_to(stack.absolute())
    except OSError:  # There is a file of that name, or the file system has no links.
        return False
    return True


def _sheet(fields: dict[str, NDArray[Any]], count: int, data: str) -> str:
    """Return the YAML text of the sheet of a result group."""
    results = dict.fromkeys(name.split("/")[0] for name in fields if "/" in name)
    lines = [
        f"created: {datetime.now():%Y-%m-%d %H:%M:%S.%f}",
        "group:",
        "  description: Particles with poses found ab initio",
        "  name: particles",
        "  title: Particles of napari-cryospin",
        "  type: particle",
        "results:",
    ]
    for name in sorted(results):
        lines += [
            f"  {name}:",
            f"    metafile: '{BESIDE}{data}'",
            f"    num_items: {count}",
            f"    type: particle.{name}",
        ]
    return "\n".join([*lines, f"version: {SHEET_VERSION}", ""])
