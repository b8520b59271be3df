"""A thread for what would make the window wait; of the questions that wait, the newest of each kind is answered."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

log = logging.getLogger(__name__)

END_CHECK_EVERY = 0.5  # s between two looks whether the program has ended


class _Questions:
    """What waits to be answered. It knows no Qt object: the thread that holds it keeps no widget alive."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting: dict[str, Callable[[], Any]] = {}
        self.ended = False

    def add(self, kind: str, question: Callable[[], Any]) -> None:
        with self.changed:
            self.waiting.pop(kind, None)
            self.waiting[kind] = question
            self.changed.notify()

    def end(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify()

    @property
    def over(self) -> bool:
        return self.ended or not threading.main_thread().is_alive()

    def next(self) -> tuple[str, Callable[[], Any]] | None:
        """Wait for a question; None: there will be no more."""
        with self.changed:
            while not self.waiting and not self.over:
                self.changed.wait(END_CHECK_EVERY)
            if self.over:
                return None
            kind = next(iter(self.waiting))
            return kind, self.waiting.pop(kind)


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
        self._questions = _Questions()
        # Not `destroyed`: its slot may be called while the garbage collector takes the slot itself apart.
        weakref.finalize(self, self._questions.end)
        # Not a daemon: a thread that is killed in the middle of a library's native code takes the process down with it.
        threading.Thread(target=_answer_all, args=(self._questions, weakref.ref(self)), name=name).start()

    def ask(self, kind: str, question: Callable[[], Any]) -> None:
        """Have `question` called in the thread; one of the same kind that still waits is dropped."""
        self._questions.add(kind, question)

    def end(self) -> None:
        """End the thread after the question in hand; what waits is dropped."""
        self._questions.end()


def _answer_all(questions: _Questions, worker: weakref.ref[Worker]) -> None:
    while (asked := questions.next()) is not None:
        kind, question = asked
        try:
            answer, name = question(), "answered"
        except Exception as error:  # whoever asked must hear of it, whatever it was
            log.info("%s", kind, exc_info=True)
            answer, name = error, "failed"
        _tell(questions, worker(), name, kind, answer)
        del asked, question, answer  # what they hold must not live until the next question


def _tell(questions: _Questions, worker: Worker | None, name: str, kind: str, answer: Any) -> None:
    if worker is None or questions.over:
        return
    try:
        getattr(worker, name).emit(kind, answer)
    except RuntimeError:  # the window was closed meanwhile
        log.debug("nobody waits for %s any more", kind)
