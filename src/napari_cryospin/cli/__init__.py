"""The command line, as a table of commands. The module of a command is imported when the command is run."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import tyro

from napari_cryospin.cli.console import RefusedFlagsError, error_text, preset_in, print_line, resolutions_in

PROGRAM_NAME = "napari-cryospin"

COMMANDS = {
    "inspect": ("inputs", "what is in a particle file, and whether a run is possible"),
    "run": ("runs", "reconstruct a map and poses from particles"),
    "resume": ("runs", "go on with a run that was stopped or killed"),
    "send": ("watch", "pause, resume, switch, save or stop a run, or change its symmetry"),
    "status": ("watch", "how a run stands"),
    "evaluate": ("outcome", "compare a run with a known truth"),
    "symmetry": ("symmetry", "which symmetry a map looks like, and where its axes lie"),
    "posterior": ("outcome", "pose posterior of one particle: figure and numbers"),
    "export": ("export", "results for RELION, cryoSPARC, cryoDRGN, ChimeraX, EMDB"),
    "simulate": ("simulation", "particles with known poses from a map"),
    "demo": ("demo", "simulate, reconstruct and compare, in a minute"),
}
"""Command -> module of this package, and what the command does. Its function has its name: `run_command` for `run`."""

BAD_INPUT = (ValueError, OSError, RefusedFlagsError)
"""Errors that mean bad input or an impossible request; they are printed as one line on stderr, without a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        Arguments after the program's name. Default: the arguments of this process.

    Returns
    -------
    int
        Exit status: 0 done, 1 failed under way, 2 bad input or an impossible request, 130 stopped by Ctrl-C.
    """
    try:
        return obey(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:  # The reader of a pipe may close it early, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BAD_INPUT as error:
        return complain(error_text(error))
    except KeyboardInterrupt:
        return 130


def obey(arguments: list[str]) -> int:
    """Run the command that the arguments name, or print the list of commands."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print_line(usage())
        return 0 if arguments else 2
    name, *rest = arguments
    if name == "--version":
        print_line(f"{PROGRAM_NAME} {version(PROGRAM_NAME)}")
        return 0
    if name not in COMMANDS:
        return complain(f"no command {name!r}; expected one of {', '.join(COMMANDS)}")
    logging.captureWarnings(True)
    # Threads that spin for long while they wait slow a busy machine down a hundredfold, and a short spin costs nothing
    # on an idle one. OpenMP reads the variable once, when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    from napari_cryospin.cli.flags import registry  # Imports pydantic, which --help and --version do without.

    return tyro.cli(function_of(name, rest), args=rest, prog=f"{PROGRAM_NAME} {name}", registry=registry)


def function_of(name: str, arguments: Sequence[str]) -> Callable[..., int]:
    """Find the function behind a command; if it takes settings, bind those of the preset that the arguments name."""
    module = importlib.import_module(f"napari_cryospin.cli.{COMMANDS[name][0]}")
    function: Callable[..., Any] = getattr(module, f"{name}_command")
    if "settings" in inspect.signature(function).parameters:
        from napari_cryospin.settings import PRESETS, without_shells

        preset = without_shells(PRESETS[preset_in(arguments)], resolutions_in(arguments))
        return functools.partial(function, settings=preset)
    return function


def usage() -> str:
    """Write the list of commands."""
    lines = [f"usage: {PROGRAM_NAME} COMMAND ...", ""]
    lines += [f"  {name:10} {text}" for name, (_, text) in COMMANDS.items()]
    hint = f"`{PROGRAM_NAME} COMMAND --help` shows a command's options, with units and defaults."
    return "\n".join([*lines, "", hint])


def complain(text: str) -> int:
    """Print an error as one line on stderr, and return the exit status 2."""
    sys.stderr.write(f"{PROGRAM_NAME}: {text}\n")
    return 2
