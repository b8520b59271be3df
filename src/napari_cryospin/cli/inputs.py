"""The command `inspect`, and the check of particles before a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from napari_cryospin.checks.preflight import PreflightCard, missing_stacks, preflight
from napari_cryospin.cli.console import print_line, with_flags
from napari_cryospin.io.files import write_lines
from napari_cryospin.io.open import open_particles
from napari_cryospin.listing import NAMES_SHOWN
from napari_cryospin.particles import Particles
from napari_cryospin.runs.source import InputOptions, RunInput
from napari_cryospin.settings import Settings


def inspect_command(
    particles: Annotated[Positional[Path], arg(metavar="FILE")],
    settings: OmitArgPrefixes[Settings],
    options: OmitArgPrefixes[InputOptions] = InputOptions(),  # noqa: B008 (frozen)
    missing: Path | None = None,
) -> int:
    """Show what is in a particle file, and whether a run with these settings is possible (exit status 2: it is not).

    Parameters
    ----------
    particles
        Particles: .star, .cs, .csg, .mrcs or .mrc.
    settings
        Settings of the run to be judged.
    options
        Files and values beside the particle file.
    missing
        Text file (.txt) to which the names of all missing stacks are written, one a line.
    """
    if missing is not None and missing.suffix.lower() != ".txt":
        raise ValueError(f"{missing}: found a name with {missing.suffix!r} at its end, expected '.txt'")
    card, opened = judge_input(RunInput(particles=particles, **vars(options)), settings)
    print_line(card.text(with_flags))
    _list_missing(missing_stacks(opened), missing)
    return 2 if card.problems else 0


def _list_missing(names: Sequence[str], path: Path | None) -> None:
    """Write the names of missing stacks to a file, or say how that is done where the card does not show all."""
    if names and path is not None:
        write_lines(path, names)
        print_line(f"wrote {path}: {len(names):,} missing stacks")
    elif len(names) > NAMES_SHOWN:
        print_line("--missing FILE lists all missing stacks in a file")


def judge_input(source: RunInput, settings: Settings) -> tuple[PreflightCard, Particles]:
    """Open the particles of a run, and return their card and them; missing stacks are problems on the card."""
    particles = open_particles(source.particles, **source.options, require_stacks=False)
    return preflight(particles, settings), particles


def open_checked_particles(source: RunInput, settings: Settings) -> Particles:
    """Open the particles of a run, and print their card.

    Raises
    ------
    FileNotFoundError, ValueError
        The particles cannot be read, or a run is impossible; the message names every reason.
    """
    card, particles = judge_input(source, settings)
    card.require_possible(with_flags)
    print_line(card.text(with_flags))
    return particles
