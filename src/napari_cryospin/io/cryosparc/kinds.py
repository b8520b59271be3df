"""cryoSPARC's files that hold other things than images of particles, told by their fields or by their group's type."""

from __future__ import annotations

from collections.abc import Sequence

GROUP_TYPES = {
    "template": "class averages or templates",
    "exposure": "micrographs or movies",
    "volume": "maps",
    "mask": "masks",
}
"""Type of a group -> what it holds."""
OTHER_RESULTS = {
    "movie_": "exposures: movies",
    "micrograph_": "exposures: micrographs",
    "map": "volumes",
    "volume": "volumes",
    "mask": "masks",
}
"""First letters of a result -> what a file holds that has it and no images of particles."""
IMAGES_OF_TEMPLATES = "blob/res_A"
"""Field of class averages' and templates' images that particles' images do not have."""


def kind_of_fields(fields: Sequence[str]) -> str:
    """Say what a file of these fields holds other than particles; empty where it may hold these.

    Parameters
    ----------
    fields
        Names such as blob/path, of a file and of those that were given with it.
    """
    results = {field.split("/")[0] for field in fields if "/" in field}
    if "blob" in results:
        return GROUP_TYPES["template"] if IMAGES_OF_TEMPLATES in fields and results == {"blob"} else ""
    for start, kind in OTHER_RESULTS.items():
        found = sorted(result for result in results if result.startswith(start))
        if found:
            return f"{kind} (fields {found[0]}/...)"
    if "location" in results and not any(result.startswith("alignments") for result in results):
        return "positions of particles without their images (fields location/...): not extracted yet, or passed through"
    return ""
