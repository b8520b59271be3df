"""A thread for what would make the window wait; of the questions that wait, the newest of each kind is answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5  # s between two looks whether the program has ended


class Worker(QObject):
    """Answers questions in a thread of its own, newest wins.

    `answered` and `failed` arrive in the receiver's thread: connect bound methods of QObjects (a widget, say); they are
    disconnected when the receiver goes.

    Parameters
    ----------
    name
        Of the thread.
    parent
        When it is destroyed the thread ends, after the question in hand.
    """

    answered = Signal(str, object)  # kind of question, answer
    failed = Signal(str, object)  # kind of question, exception

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._changed = threading.Condition()
        self._waiting: dict[str, Callable[[], Any]] = {}
        self._ended = False
        # Not a daemon: a thread that is killed in the middle of a library's native code takes the process down with it.
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()
        self.destroyed.connect(self._end_of(self._changed))

    def _end_of(self, changed: threading.Condition) -> Callable[[], None]:
        # The closure holds no reference to this object, whose C++ side is gone when it is called.
        state = self.__dict__

        def end() -> None:
            with changed:
                state["_ended"] = True
                changed.notify()

        return end

    def ask(self, kind: str, question: Callable[[], Any]) -> None:
        """Have `question` called in the thread; one of the same kind that still waits is dropped."""
        with self._changed:
            self._waiting.pop(kind, None)
            self._waiting[kind] = question
            self._changed.notify()

    def end(self) -> None:
        """End the thread after the question in hand; what waits is dropped."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    @property
    def _over(self) -> bool:
        return self._ended or not threading.main_thread().is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._over:
                    self._changed.wait(LOOK_EVERY)
                if self._over:
                    return
                kind = next(iter(self._waiting))
                question = self._waiting.pop(kind)
            self._answer(kind, question)

    def _answer(self, kind: str, question: Callable[[], Any]) -> None:
        try:
            answer = question()
        except Exception as error:  # whoever asked must hear of it, whatever it was
            log.info("%s", kind, exc_info=True)
            self._emit("failed", kind, error)
        else:
            self._emit("answered", kind, answer)

    def _emit(self, signal: str, kind: str, value: Any) -> None:
        if self._over:
            return
        try:
            getattr(self, signal).emit(kind, value)
        except RuntimeError:  # the window was closed meanwhile
            log.debug("nobody waits for %s any more", kind)
