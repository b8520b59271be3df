"""Alignment and comparison of two independent half sets; the comparison never changes the half sets themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cryospin.engine.fit import Fit
from napari_cryospin.evaluation.fsc import spherical_mask
from napari_cryospin.evaluation.gold_standard import GoldStandard, gold_standard
from napari_cryospin.evaluation.map_alignment import MapAlignment, align_maps, apply_alignment
from napari_cryospin.geometry.hand import HAND_FLIP
from napari_cryospin.physics.map_crop import fourier_crop_map

SURE = 1.15
"""Least ratio of the shells over which the maps agree to those in the other hand, for the hand to be certain."""
LEAST_AGREEMENT = 5.0
"""Shells (area under the FSC) over which the halves must agree. Maps of pure noise can be aligned until they agree a
little in the first shells (docs/half_sets.md, Noise shows no resolution)."""
UNEQUAL, STRIKING = 0.003, 6.0
"""Halves are unequal if their mean errors differ by more than this share, and by more than this number of standard
errors (docs/half_sets.md, Two reconstructions that share nothing)."""
WORSE = 0.9
"""Least ratio of the shells over which a refined alignment agrees to those of the alignment before; below it, the
alignment is searched anew."""


@dataclass(frozen=True)
class AlignedHalves:
    """The second half's map in the frame of the first."""

    alignment: MapAlignment
    second: NDArray[np.float32]
    """`(n, n, n)` aligned, not masked."""

    @property
    def warning(self) -> str:
        """Description of the alignment's fault; empty if there is none."""
        found = self.alignment
        if found.agreement < LEAST_AGREEMENT:
            return (
                f"the half maps could not be laid on each other: however turned, they agree over no more than "
                f"{found.agreement:.1f} shells, as unrelated maps do; no resolution can be told, the combined map is "
                f"the first half alone, and the poses of the two halves do not belong to one frame"
            )
        if found.agreement < SURE * found.other_hand:
            return (
                f"it is not certain in which hand the halves agree ({found.agreement:.1f} shells, "
                f"{found.other_hand:.1f} in the other): they are compared in the better one"
            )
        return ""

    @property
    def failed(self) -> bool:
        return self.alignment.agreement < LEAST_AGREEMENT


def align_halves(
    first: NDArray, second: NDArray, pixel_size: float, before: MapAlignment | None = None, *, exact: bool = True
) -> AlignedHalves:
    """Align the second half's map to the first's.

    Parameters
    ----------
    first, second
        `(n, n, n)` half maps, each in its own frame and hand.
    pixel_size
        Angstrom.
    before
        Earlier alignment of the same halves. It is refined; if the refinement fails, the alignment is searched anew.
    exact
        Interpolate without loss up to the last shell, for eight times the memory.
    """
    n = len(first)
    sphere = spherical_mask(n, 0.44 * n, 0.06 * n)
    masked = first * sphere, second * sphere
    found = None
    if before is not None and before.agreement >= SURE * np.nan_to_num(before.other_hand):
        found = align_maps(*masked, pixel_size, start=before)
    if found is None or before is None or found.agreement < WORSE * before.agreement:
        found = align_maps(*masked, pixel_size)
    fine, hand = 2 if exact else 1, found.hand_flipped
    moved = apply_alignment(second, found.rotation, found.shift, pixel_size, hand_flipped=hand, oversampling=fine)
    return AlignedHalves(found, moved)


def worse_half(first: NDArray, second: NDArray) -> str:
    """Describe by how much one half explains its images worse than the other; "" if chance may explain it.

    The halves have similar particles, and so similar errors, unless one of them has settled on a wrong map.

    Parameters
    ----------
    first, second
        `(n,)` errors of each half's images at their poses; nan: not known yet.
    """
    first, second = first[np.isfinite(first)], second[np.isfinite(second)]
    if not (len(first) and len(second)):
        return ""
    means = np.array([np.mean(first), np.mean(second)])
    spread = np.hypot(np.std(first) / np.sqrt(len(first)), np.std(second) / np.sqrt(len(second)))
    apart = abs(means[0] - means[1])
    if not apart > max(UNEQUAL * means.min(), STRIKING * spread):
        return ""
    worse = 1 if means[0] > means[1] else 2
    return (
        f"half {worse} explains its images worse than half {3 - worse} (mean error {100 * apart / means.min():.1f} % "
        f"higher): its map and poses are likely to be wrong; run again with another seed, or with more particles"
    )


class HalfSetMonitor:
    """Measurement of the gold-standard FSC during a run, within the band of the halves."""

    def __init__(self) -> None:
        self.alignment: MapAlignment | None = None

    @property
    def agree(self) -> bool | None:
        """Whether the halves could be laid on each other; None: they were not compared yet."""
        return None if self.alignment is None else self.alignment.agreement >= LEAST_AGREEMENT

    def measure(self, fits: list[Fit]) -> tuple[GoldStandard, AlignedHalves]:
        """Align and compare the present maps of the two halves."""
        maps = [fit.volume.band_map().cpu() for fit in fits]
        n = min(len(part) for part in maps)
        first, second = (fourier_crop_map(part, n).numpy() for part in maps)
        pixel_size = fits[0].images.extent / n
        halves = align_halves(first, second, pixel_size, self.alignment, exact=False)
        self.alignment = halves.alignment
        return gold_standard(first, halves.second, pixel_size, band=min(fit.band.now for fit in fits)), halves


def poses_in_frame(rotations: NDArray, shifts: NDArray, alignment: MapAlignment) -> tuple[NDArray, NDArray]:
    """Transform poses under the map before the alignment to poses under the aligned map.

    The alignment moves a point `p` of the map to `Q p + s`. A rotation `A` becomes `A Q^T` (after the flip of the
    hand), and a shift grows by the projection of `A Q^T s` on the image's plane.

    Parameters
    ----------
    rotations, shifts : ndarray
        `(n, 3, 3)`, and `(n, 2)` Angstrom.
    """
    turned = HAND_FLIP @ rotations if alignment.hand_flipped else rotations
    turned = turned @ alignment.rotation.T
    return turned, shifts + (turned @ alignment.shift)[:, :2]
