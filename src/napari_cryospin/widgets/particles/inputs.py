"""Files that a user chose or dropped: what each of them is, and the particles with their card.

The readers import pandas and scipy, which takes a while, so they are imported when they are first needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cryospin.io.formats import PARTICLE_FORMATS
from napari_cryospin.listing import first_of
from napari_cryospin.particles import Particles
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings

if TYPE_CHECKING:
    from napari_cryospin.checks.image_survey import ImageSurvey
    from napari_cryospin.checks.preflight import PreflightCard

PICKLE_SUFFIX = ".pkl"
EXPECTED_FILES = ", ".join(PARTICLE_FORMATS)
TRUTH_SUFFIX = "_truth.star"


class PixelSizeNeededError(ValueError):
    """The files say no pixel size, so that the user has to enter it."""

    def __init__(self, source: RunInput) -> None:
        super().__init__(f"{source.particles}: no pixel size; give it in Å")
        self.source = source


@dataclass(frozen=True)
class Opened:
    """Opened particles with their files and their card."""

    particles: Particles
    source: RunInput
    truth: Path | None


def source_of(paths: Sequence[Path]) -> RunInput:
    """Sort files into the parts of a run's input.

    Parameters
    ----------
    paths
        A particle file, and the files that belong to it: passthrough files (.cs with "passthrough" in the name),
        cryoDRGN pickles (with "pose" or "ctf" in the name), or the stack that a .star or .cs names.

    Raises
    ------
    ValueError
        There is not exactly one particle file, or a file has no part in the input.
    """
    by_kind: dict[str, list[Path]] = {}
    for path in paths:
        by_kind.setdefault(_kind(path), []).append(path)
    tables, stacks = by_kind.get("table", []), by_kind.get("stack", [])
    passthrough = by_kind.get("passthrough", [])
    if not tables and passthrough and not stacks:
        tables, passthrough = passthrough[:1], passthrough[1:]
    main = tables or stacks
    if len(main) != 1:
        names = first_of([path.name for path in paths]) or "none"
        raise ValueError(f"{names}: found {len(main)} particle files, expected one of {EXPECTED_FILES}")
    return RunInput(
        particles=main[0],
        data_dir=stacks[0].parent if tables and stacks else None,
        passthrough=tuple(passthrough),
        ctf=_only(by_kind.get("ctf", [])),
        poses=_only(by_kind.get("poses", [])),
    )


def _kind(path: Path) -> str:
    suffix, name = path.suffix.lower(), path.name.lower()
    if suffix in PARTICLE_FORMATS:
        if suffix == ".cs" and "passthrough" in name:
            return "passthrough"
        return "stack" if PARTICLE_FORMATS[suffix].bare else "table"
    if suffix == PICKLE_SUFFIX and ("pose" in name or "ctf" in name):
        return "poses" if "pose" in name else "ctf"
    if suffix == PICKLE_SUFFIX:
        raise ValueError(f'{path}: found a pickle, expected "ctf" or "pose" in its name to tell what it holds')
    raise ValueError(f"{path}: found a file of type {suffix!r}, expected one of {EXPECTED_FILES}, {PICKLE_SUFFIX}")


def _only(paths: list[Path]) -> Path | None:
    if len(paths) > 1:
        raise ValueError(
            f"{first_of([path.name for path in paths])}: found {len(paths)} files of one kind, expected one"
        )
    return paths[0] if paths else None


def open_source(source: RunInput, truth: Path | None = None) -> Opened:
    """Open particles; missing stacks are listed on their card.

    Parameters
    ----------
    source
        Files of the input.
    truth
        File with true poses. Default: the file that `simulate` wrote beside the particles, if there is one.

    Raises
    ------
    PixelSizeNeededError
        A stack that is given alone, or a file, says no pixel size.
    ValueError, FileNotFoundError
        A file cannot be used.
    """
    from napari_cryospin.io.located import PixelSizeMissingError
    from napari_cryospin.io.open import open_particles

    try:
        particles = open_particles(source.particles, **source.options, require_stacks=False)
    except PixelSizeMissingError as error:
        raise PixelSizeNeededError(source) from error
    beside = source.particles.with_name(source.particles.stem + TRUTH_SUFFIX)
    if truth is None and beside.is_file():
        truth = beside
    return Opened(particles, source, truth)


class Judge:
    """Judge of opened particles. It looks at the images once, as long as the same of them are background."""

    def __init__(self) -> None:
        self._known: tuple[Particles, float | None] | None = None
        self._survey: ImageSurvey | None = None

    def __call__(self, particles: Particles, settings: Settings, truth: Path | None) -> PreflightCard:
        """Check opened particles, and return their card."""
        from napari_cryospin.checks.preflight import preflight

        radius = settings.preparation.mask_radius
        same = self._known is not None and self._known[0] is particles and self._known[1] == radius
        card = preflight(particles, settings, self._survey if same else None)
        self._known, self._survey = (particles, radius), card.survey
        if truth is None:
            return card
        return dataclasses.replace(card, notes=(*card.notes, f"true poses are known: {truth.name}"))
