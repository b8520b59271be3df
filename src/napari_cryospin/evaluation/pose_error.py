"""Pose errors against a truth, after a global alignment, in either hand, modulo a point group.

A reconstruction's frame is arbitrary. With `G` the rotation that takes a vector of the predicted map's frame to the
true map's frame, `A_predicted = A_true @ S @ G` for every particle with a right pose, `S` an element of the map's point
group. Where the map has the other hand, this holds for `diag(-1, -1, 1) @ A_predicted`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cryospin.geometry.angles import angle_between
from napari_cryospin.geometry.hand import HAND_FLIP
from napari_cryospin.geometry.point_groups import group_matrices

Array = NDArray[np.float64]

_CANDIDATES, _VOTERS = 400, 1500  # numbers of particles that propose an alignment, and that vote on it
_VOTE_WIDTH = 15.0  # degrees: a vote falls off with the angle as a Gaussian, to 1 / e at this width


@dataclass(frozen=True)
class _Errors:
    errors: Array
    """`(n,)` one for each particle: degrees, or Angstrom."""

    @property
    def mean(self) -> float:
        return float(self.errors.mean())

    @property
    def median(self) -> float:
        return float(np.median(self.errors))


@dataclass(frozen=True)
class PoseErrors(_Errors):
    """Rotation errors, degrees, and the alignment under which they were computed."""

    alignment: Array
    """`(3, 3)` rotation that takes a vector of the predicted map's frame (after the flip) to the true map's frame."""
    hand_flipped: bool
    """The predicted map has the other hand."""
    symmetry: str
    """Point group of the true map, `C1`, `C3`, `D2`."""

    @property
    def within_10(self) -> float:
        """Share of the particles with an error of at most 10 degrees."""
        return float((self.errors <= 10).mean())


@dataclass(frozen=True)
class ShiftErrors(_Errors):
    """Shift errors, Angstrom, after the translation between the two maps is subtracted."""

    translation: Array
    """`(3,)` Angstrom: the point `p` of the aligned predicted map lies at `p + translation` in the true map."""


def rotation_errors(
    predicted: ArrayLike, true: ArrayLike, *, symmetry: str = "C1", either_hand: bool = True
) -> PoseErrors:
    """Measure the errors of predicted rotations after the best global alignment.

    The alignment is a consensus: some particles propose alignments, others vote on them, and the best is refined on the
    particles that agree with it. It is right even where most poses are wrong, as long as the wrong ones do not agree.

    Parameters
    ----------
    predicted, true : array_like
        `(n, 3, 3)` RELION's A.
    symmetry : str
        Point group of the true map.
    either_hand : bool
        Try the other hand too, and keep the one that more particles agree on.
    """
    turned, known = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if turned.shape != known.shape or turned.ndim != 3 or turned.shape[1:] != (3, 3) or not len(turned):
        raise ValueError(f"rotations: shapes {turned.shape} and {known.shape}; expected (n, 3, 3) twice, n > 0")
    group = group_matrices(symmetry)
    best: tuple[float, PoseErrors] | None = None
    for flipped in (False, True) if either_hand else (False,):
        alignment = _consensus(HAND_FLIP @ turned if flipped else turned, known, group)
        aligned = align_rotations(turned, alignment, hand_flipped=flipped)
        errors = angle_between(aligned, _nearest_copy(aligned, known, group))
        votes = float(_vote(errors).mean())
        if best is None or votes > best[0]:
            best = votes, PoseErrors(errors, alignment, flipped, symmetry)
    assert best is not None
    return best[1]


def align_rotations(rotations: ArrayLike, alignment: Array, *, hand_flipped: bool = False) -> Array:
    """Transform rotations from the predicted map's frame to the true map's frame: `(..., 3, 3)`."""
    turned = np.asarray(rotations, dtype=np.float64)
    return (HAND_FLIP @ turned if hand_flipped else turned) @ alignment.T


def candidate_errors(candidates: ArrayLike, true: ArrayLike, found: PoseErrors) -> Array:
    """Measure the errors of further candidates, such as all heads', under a known alignment.

    Parameters
    ----------
    candidates : array_like
        `(n, m, 3, 3)` rotations, m candidates for each particle.
    true : array_like
        `(n, 3, 3)` true rotations.
    found : PoseErrors
        Result of `rotation_errors`; its alignment, hand and symmetry are applied.

    Returns
    -------
    ndarray
        `(n, m)` degrees.
    """
    known, group = np.asarray(true, dtype=np.float64), group_matrices(found.symmetry)
    errors = np.empty(np.shape(candidates)[:2])
    for number, one in enumerate(np.moveaxis(np.asarray(candidates), 1, 0)):
        aligned = align_rotations(one, found.alignment, hand_flipped=found.hand_flipped)
        errors[:, number] = angle_between(aligned, _nearest_copy(aligned, known, group))
    return errors


def truth_in_frame(predicted: ArrayLike, true: ArrayLike, found: PoseErrors) -> Array:
    """Transform true rotations to the frame and the hand of the predicted map: `(n, 3, 3)`.

    Of each true rotation's symmetric copies the one that is nearest to the prediction is transformed.

    Parameters
    ----------
    predicted, true : array_like
        `(n, 3, 3)` rotations as given to `rotation_errors`.
    found : PoseErrors
        Result of `rotation_errors`.
    """
    aligned = align_rotations(predicted, found.alignment, hand_flipped=found.hand_flipped)
    copies = _nearest_copy(aligned, np.asarray(true, dtype=np.float64), group_matrices(found.symmetry))
    moved = copies @ found.alignment
    return HAND_FLIP @ moved if found.hand_flipped else moved


def shift_errors(
    predicted_shifts: ArrayLike, true_shifts: ArrayLike, predicted_rotations: ArrayLike, found: PoseErrors
) -> ShiftErrors:
    """Measure the shift errors after subtraction of the translation between the two maps.

    A map moved by `t` is explained by shifts that differ by `-(A t)_xy`. `t` is fitted by least absolute deviations on
    the better half of the rotations, so that particles with a wrong pose do not affect it.

    Parameters
    ----------
    predicted_shifts, true_shifts : array_like
        `(n, 2)` Angstrom, RELION's sign.
    predicted_rotations : array_like
        `(n, 3, 3)` rotations as given to `rotation_errors`.
    found : PoseErrors
        Result of `rotation_errors`.
    """
    difference = np.asarray(predicted_shifts, dtype=np.float64) - np.asarray(true_shifts, dtype=np.float64)
    aligned = align_rotations(predicted_rotations, found.alignment, hand_flipped=found.hand_flipped)
    if difference.shape != (len(aligned), 2):
        raise ValueError(f"shifts: difference has shape {difference.shape}; expected {(len(aligned), 2)}")
    design = -aligned[:, :2]  # (n, 2, 3)
    better = found.errors <= found.median
    weights, translation = np.ones(int(better.sum())), np.zeros(3)
    for _ in range(30):
        normal = np.einsum("n,nij,nik->jk", weights, design[better], design[better])
        right = np.einsum("n,nij,ni->j", weights, design[better], difference[better])
        translation = np.linalg.lstsq(normal, right, rcond=1e-9)[0]  # A direction that no image determines stays 0.
        residual = np.linalg.norm(difference[better] - design[better] @ translation, axis=-1)
        weights = 1 / np.maximum(residual, 1e-6 + 0.01 * np.median(residual))
    return ShiftErrors(np.linalg.norm(difference - design @ translation, axis=-1), translation)


def _nearest_copy(aligned: Array, true: Array, group: Array) -> Array:
    """Choose, of each true rotation's symmetric copies `A_true @ S`, the one nearest to the aligned rotation."""
    relative = (true.transpose(0, 2, 1) @ aligned).reshape(-1, 9)
    nearest = (relative @ group.reshape(-1, 9).T).argmax(-1)
    return true @ group[nearest]


def _vote(degrees: Array) -> Array:
    return np.exp(-np.square(degrees / _VOTE_WIDTH))


def _consensus(predicted: Array, true: Array, group: Array) -> Array:
    """Search the `(3, 3)` alignment on which most particles agree."""
    relative = true.transpose(0, 2, 1) @ predicted  # (n, 3, 3) = S @ G
    rng = np.random.default_rng(0)
    order = rng.permutation(len(relative))
    proposals = relative[order[:_CANDIDATES]]
    voters = relative[order[-_VOTERS:]].reshape(-1, 9)
    copies = (group[:, None] @ proposals).reshape(len(group), len(proposals), 9)
    trace = np.max([copy @ voters.T for copy in copies], axis=0)  # (proposals, voters)
    angle = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    return _refine(proposals[_vote(angle).sum(-1).argmax()], relative, group)


def _refine(alignment: Array, relative: Array, group: Array) -> Array:
    """Compute a robust mean on SO(3): chordal means, with weights that fall off beyond the last typical error."""
    for _ in range(20):
        nearest = (relative.reshape(-1, 9) @ (group @ alignment).reshape(-1, 9).T).argmax(-1)
        moved = group[nearest].transpose(0, 2, 1) @ relative  # (n, 3, 3) each particle's own estimate of G
        angle = angle_between(moved, alignment)
        inside = angle[angle < 2 * _VOTE_WIDTH]
        scale = max(3 * float(np.median(inside)) if len(inside) else _VOTE_WIDTH, 0.01)
        weights = 1 / np.square(1 + np.square(angle / scale))  # Geman-McClure
        u, _, vt = np.linalg.svd(np.einsum("n,nij->ij", weights, moved))
        alignment = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return alignment
