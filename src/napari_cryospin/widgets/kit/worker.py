"""A thread for calls that would make the window wait; of the waiting calls for one method only the newest is made."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from qtpy.QtCore import QObject, Signal

log = logging.getLogger(__name__)

T = TypeVar("T")
Receiver = weakref.WeakMethod[Callable[[Any], None]]

END_CHECK_EVERY = 0.5  # s between two checks whether the program has ended


@dataclass(frozen=True)
class _Call:
    """A call that waits, and the methods for its result. They are weak, so that no thread keeps a widget alive."""

    function: Callable[[], Any]
    then: Receiver
    failed: Receiver | None


class _Queue:
    """Calls that wait for the thread. It refers to no Qt object, because the thread holds it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting: dict[Receiver, _Call] = {}
        self.ended = False

    def add(self, call: _Call) -> None:
        with self.changed:
            self.waiting.pop(call.then, None)
            self.waiting[call.then] = call
            self.changed.notify()

    def end(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify()

    @property
    def over(self) -> bool:
        return self.ended or not threading.main_thread().is_alive()

    def next(self) -> _Call | None:
        """Wait for a call; None: there will be no more."""
        with self.changed:
            while not self.waiting and not self.over:
                self.changed.wait(END_CHECK_EVERY)
            if self.over:
                return None
            return self.waiting.pop(next(iter(self.waiting)))


class Worker(QObject):
    """Thread that makes calls one after the other, and hands their results to the window's thread.

    Parameters
    ----------
    name
        Name of the thread.
    parent
        QObject whose methods receive the results. When it is destroyed, the thread ends after the present call.
    """

    _done = Signal(object, object)  # Receiver, result or exception

    def __init__(self, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self._queue = _Queue()
        self._done.connect(self._deliver)
        # `destroyed` would not do: its slot may be called while the garbage collector destroys the slot itself.
        weakref.finalize(self, self._queue.end)
        # The thread is no daemon: killing it in the native code of a library would crash the process.
        threading.Thread(target=_make_calls, args=(self._queue, weakref.ref(self)), name=name).start()

    def ask(
        self, function: Callable[[], T], then: Callable[[T], None], failed: Callable[[Exception], None] | None = None
    ) -> None:
        """Call `function` in the thread. A waiting call with the same `then` is dropped.

        Parameters
        ----------
        function
            Function that computes the result.
        then
            Method of the parent that receives the result, in the window's thread.
        failed
            Method of the parent that receives an exception of the function. Default: the exception is only logged.
        """
        self._queue.add(_Call(function, weakref.WeakMethod(then), weakref.WeakMethod(failed) if failed else None))

    def end(self) -> None:
        """End the thread after the present call, and drop the calls that wait."""
        self._queue.end()

    def _deliver(self, receiver: Receiver, result: Any) -> None:
        method = receiver()
        if method is not None:
            method(result)


def _make_calls(queue: _Queue, worker: weakref.ref[Worker]) -> None:
    while (call := queue.next()) is not None:
        receiver: Receiver | None = call.then
        try:
            result = call.function()
        except Exception as error:  # Whatever the error is, the receiver decides what to do about it.
            log.info("a call in %s failed", threading.current_thread().name, exc_info=True)
            receiver, result = call.failed, error
        if receiver is not None:
            _send(queue, worker(), receiver, result)
        del call, receiver, result  # What they refer to must not live until the next call.


def _send(queue: _Queue, worker: Worker | None, receiver: Receiver, result: Any) -> None:
    if worker is None or queue.over:
        return
    try:
        worker._done.emit(receiver, result)
    except RuntimeError:
        log.debug("the window was closed before the result of a call came")
