"""The fields of a particles' file in which poses are looked for, to name those that a file lacks."""

from __future__ import annotations

from napari_cryospin.particles import Particles

POSE_FIELDS = {
    ".star": ("rlnAngleRot, rlnAngleTilt, rlnAnglePsi", "rlnOriginXAngst, rlnOriginYAngst"),
    ".cs": ("alignments3D/pose", "alignments3D/shift"),
}
"""Suffix of a particles' file -> fields of the rotations, and of the shifts."""


def lacking_poses(particles: Particles, *, shifts: bool) -> str | None:
    """Say what particles lack for a fit with known poses; None: nothing.

    Parameters
    ----------
    particles
        The particles.
    shifts
        Whether shifts are needed, too: particles that are not taken to be centred.
    """
    rotation_fields, shift_fields = POSE_FIELDS.get(particles.source.suffix.lower(), ("", ""))
    lacking = []
    if particles.rotations is None:
        lacking.append(f"rotations ({rotation_fields})" if rotation_fields else "rotations")
    if shifts and particles.shifts is None:
        lacking.append(f"shifts ({shift_fields})" if shift_fields else "shifts")
    if not lacking:
        return None
    found = f"the poses are not known: found no {' and no '.join(lacking)}"
    if particles.rotations is not None:
        return f"{found}; expected them in the file, or centred particles, whose shifts are not looked for"
    return f"{found}; expected them in the file, for a method that takes them as known"
