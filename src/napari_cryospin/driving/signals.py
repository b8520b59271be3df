"""Ctrl-C and a scheduler's SIGTERM as a request to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STOPPING = "stopping after this step: saving (Ctrl-C again breaks off)"


@contextlib.contextmanager
def stop_on_signal(tell: Callable[[str], object]) -> Iterator[threading.Event]:
    """Yield an event that is set by Ctrl-C or by SIGTERM. A second Ctrl-C ends the program at once.

    Python handles signals in the main thread only; in any other thread nothing sets the event.

    Parameters
    ----------
    tell
        Called with what happens now, as soon as a signal has set the event.
    """
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tell(STOPPING)

    handled = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, ask) for number in handled}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
