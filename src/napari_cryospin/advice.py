"""Messages with the options that would help, for the command line and the window to name in their own words.

The code that detects a fault does not depend on the interface: the same option is a flag on the command line, and a
field or a button in the window. A message therefore carries the option's name in Python; the interface that shows it
names the flag, field or button.
"""

from __future__ import annotations

from collections.abc import Callable


class Advice(str):
    """A message to the user, and the options that would help.

    It is an ordinary string, without the options. An error carries one as its only argument:
    `raise ValueError(Advice("... says no pixel size; give it", "pixel_size"))`.

    Parameters
    ----------
    text : str
        The message, in which no option is named.
    *options : str
        Names in Python of the options that would help: parameters of `open_particles`, or fields of `Settings`,
        `ExportOptions` or `SimulationSettings`.
    details : str
        Text that follows the message, and the options where they are named: a list of files, for example.

    Attributes
    ----------
    text, options, details
        As given.
    """

    text: str
    options: tuple[str, ...]
    details: str

    def __new__(cls, text: str, *options: str, details: str = "") -> Advice:
        self = super().__new__(cls, text + details)
        self.text, self.options, self.details = text, options, details
        return self


def with_options(message: object, name_of: Callable[[str], str | None]) -> str:
    """Write out a message with the options that would help.

    Parameters
    ----------
    message : Advice, str or BaseException
        A message, or an error that carries one. Without options it is written as it is.
    name_of : callable
        Returns the name of an option in this interface; None: it cannot be set there.
    """
    advice = message.args[0] if isinstance(message, BaseException) and message.args else message
    if not isinstance(advice, Advice):
        return str(message)
    names = [name for option in advice.options if (name := name_of(option)) is not None]
    named = f" ({' or '.join(names)})" if names else ""
    return advice.text + named + advice.details
