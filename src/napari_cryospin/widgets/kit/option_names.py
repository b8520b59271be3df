"""Places of options in the window: the field or button of an option that a message advises, and its panel."""

from __future__ import annotations

from napari_cryospin.advice import with_options

PLACES_OF_OPTIONS = {
    "data_dir": ("Find folder...", "Particles"),
    "passthrough": ("Add...", "Particles"),
    "ctf": ("Add...", "Particles"),
    "pixel_size": ("Pixel size", "Particles"),
    "box": ("box", "Particles"),
    "mask_radius": ("mask radius", "Particles"),
    "invert_contrast": ("Invert the contrast", "Particles"),
    "leave_out_bad": ("Leave out images that cannot be used", "Particles"),
    "half_sets": ("half sets", "Particles"),
    "max_shift": ("max shift", "Run"),
    "reference_resolution": ("reference resolution", "Run"),
    "first_resolution": ("first resolution", "Run"),
    "first_band": ("first band", "Run"),
    "posterior_sample": ("posterior sample", "Run"),
    "low_pass": ("Low-pass", "Export"),
    "b_factor": ("B-factor", "Export"),
    "primary": ("Map", "Export"),
    "statistics": ("with the posterior's figures", "Export"),
}
"""Option -> what is written on its field (without the unit) or its button, and the panel that it is in."""


def place_of(option: str) -> str | None:
    """Return the field or button of an option, and its panel; None: the window has none."""
    found = PLACES_OF_OPTIONS.get(option)
    return None if found is None else f"{found[0]}, in the {found[1]} panel"


def with_fields(message: object) -> str:
    """Write out an error or a note, with the fields and buttons that would help."""
    return with_options(message, place_of)
