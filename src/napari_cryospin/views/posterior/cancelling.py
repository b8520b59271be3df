"""Cancelling of a computation whose answer is no longer needed."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError


def raise_if_cancelled(cancelled: threading.Event | None) -> None:
    """Raise `CancelledError` if the answer is no longer needed, that is, if the event is set."""
    if cancelled is not None and cancelled.is_set():
        raise CancelledError
