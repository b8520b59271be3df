"""Giving up a computation whose answer is not wanted any more."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError


def raise_if_cancelled(cancelled: threading.Event | None) -> None:
    """Raise `CancelledError` if the answer is not wanted any more."""
    if cancelled is not None and cancelled.is_set():
        raise CancelledError
