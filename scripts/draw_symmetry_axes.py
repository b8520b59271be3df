"""Draw where the axes of each point group lie, for docs/symmetry.md: `python scripts/draw_symmetry_axes.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_cryospin.geometry.point_groups import group_matrices

mpl.use("agg")
import matplotlib.pyplot as plt

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "symmetry_axes.png"
GROUPS = ("C3", "D3", "T", "O", "I1", "I2", "I3", "I4")
SIGNS = {2: ("D", "tab:blue"), 3: ("^", "tab:orange"), 4: ("s", "tab:green"), 5: ("p", "tab:red")}
"""Fold -> marker and colour."""


def axes_of(name: str) -> dict[int, NDArray[np.float64]]:
    """List the rotation axes of a group, `(m, 3)` unit vectors by their fold, in both directions."""
    turns = Rotation.from_matrix(group_matrices(name)[1:]).as_rotvec()
    angles = np.linalg.norm(turns, axis=1)
    directions = turns / angles[:, None]
    both = np.concatenate((directions, -directions)).round(6) + 0.0
    found: dict[int, list[NDArray[np.float64]]] = {}
    for axis in np.unique(both, axis=0):
        about = np.abs(directions @ axis) > 1 - 1e-5
        found.setdefault(int(about.sum()) + 1, []).append(axis)
    return {fold: np.array(axes) for fold, axes in sorted(found.items())}


def draw(ax: Axes, name: str) -> None:
    """Draw the axes that show on the sphere as one looks at it along -z, x to the right and y upwards."""
    ax.add_patch(Circle((0, 0), 1, fill=False, color="0.6"))
    for fold, axes in axes_of(name).items():
        marker, colour = SIGNS[fold]
        front = axes[axes[:, 2] > -1e-6]
        ax.scatter(front[:, 0], front[:, 1], marker=marker, color=colour, s=45, label=f"{fold}-fold", zorder=3)
    for text, place in (("x", (1.15, 0)), ("y", (0, 1.15))):
        ax.annotate(text, place, ha="center", va="center")
    ax.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal", title=name)
    ax.axis("off")


def main() -> None:
    figure, panels = plt.subplots(2, 4, figsize=(9, 5.2), layout="constrained")
    for ax, name in zip(panels.flat, GROUPS, strict=True):
        draw(ax, name)
    marks = [Line2D([], [], ls="", marker=m, color=c, label=f"{fold}-fold axis") for fold, (m, c) in SIGNS.items()]
    figure.legend(handles=marks, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(PICTURE, dpi=110, facecolor="white")


if __name__ == "__main__":
    main()
