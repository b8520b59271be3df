"""Command line: a table of commands, each imported only when it is asked for, so that the light ones start at once."""

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

from napari_cryospin.cli.console import RefusedFlagsError, error_text, preset_in, say

PROGRAM_NAME = "napari-cryospin"

COMMANDS = {
    "inspect": ("inputs", "what is in a particle file, and whether a run is possible"),
    "run": ("runs", "reconstruct a map and poses from particles"),
    "resume": ("runs", "go on with a run that was stopped or killed"),
    "send": ("watch", "pause, resume, switch, save or stop a run"),
    "status": ("watch", "how a run stands"),
    "evaluate": ("outcome", "compare a run with a known truth"),
    "posterior": ("outcome", "pose posterior of one particle: figure and numbers"),
    "export": ("export", "results for RELION, cryoSPARC, cryoDRGN, ChimeraX, EMDB"),
    "simulate": ("simulation", "particles with known poses from a map"),
    "demo": ("demo", "simulate, reconstruct and compare, in a minute"),
}
"""Command -> module of this package that holds its function, and what it does."""

BAD_INPUT = (ValueError, OSError, RefusedFlagsError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        What follows the program's name. Default: the process's.

    Returns
    -------
    int
        Exit status: 0 done, 1 failed under way, 2 bad input or an impossible request, 130 stopped by Ctrl-C.
    """
    try:
        return obey(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:  # whoever reads has seen enough: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BAD_INPUT as error:
        return complain(error_text(error))
    except KeyboardInterrupt:
        return 130


def obey(arguments: list[str]) -> int:
    """Run a command, or say what there is."""
    if not arguments or arguments[0] in ("-h", "--help"):
        say(usage())
        return 0 if arguments else 2
    name, *rest = arguments
    if name == "--version":
        say(f"{PROGRAM_NAME} {version(PROGRAM_NAME)}")
        return 0
    if name not in COMMANDS:
        return complain(f"no command {name!r}; expected one of {', '.join(COMMANDS)}")
    logging.captureWarnings(True)
    # Threads that spin long while they wait slow a busy machine down a hundredfold; a short spin costs nothing on an
    # idle one. Read once, when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    from napari_cryospin.cli.flags import registry  # pydantic, which --help and --version do without

    return tyro.cli(function_of(name, rest), args=rest, prog=f"{PROGRAM_NAME} {name}", registry=registry)


def function_of(name: str, arguments: Sequence[str]) -> Callable[..., int]:
    """Find the function behind a command; where it takes settings, with those of the preset among the arguments."""
    module = importlib.import_module(f"napari_cryospin.cli.{COMMANDS[name][0]}")
    function: Callable[..., Any] = getattr(module, f"{name}_command")
    if "settings" in inspect.signature(function).parameters:
        from napari_cryospin.settings import PRESETS

        return functools.partial(function, settings=PRESETS[preset_in(arguments)])
    return function


def usage() -> str:
    lines = [f"usage: {PROGRAM_NAME} COMMAND ...", ""]
    lines += [f"  {name:10} {text}" for name, (_, text) in COMMANDS.items()]
    hint = f"`{PROGRAM_NAME} COMMAND --help` shows a command's options, with units and defaults."
    return "\n".join([*lines, "", hint])


def complain(text: str) -> int:
    """One line on stderr, and the exit status that goes with it."""
    sys.stderr.write(f"{PROGRAM_NAME}: {text}\n")
    return 2
