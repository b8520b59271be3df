"""The worker: results come in the window's thread, and of the waiting calls for one method the newest is made."""

import gc
import threading
import weakref

import pytest
from qtpy.QtCore import QObject, QThread, Signal

from napari_cryospin.widgets.kit.worker import Worker

PATIENCE = 5000  # ms


class Receiver(QObject):
    came = Signal()

    def __init__(self):
        super().__init__()
        self.numbers, self.texts, self.errors, self.threads = [], [], [], []
        self.worker = Worker("test-worker", self)

    def take_number(self, number):
        self.threads.append(QThread.currentThread())
        self.numbers.append(number)
        self.came.emit()

    def take_text(self, text):
        self.texts.append(text)
        self.came.emit()

    def take_error(self, error):
        self.errors.append(error)
        self.came.emit()


@pytest.fixture
def receiver(qtbot):
    made = Receiver()
    yield made
    made.worker.end()


@pytest.fixture
def gate(receiver, qtbot):
    """An event; until it is set, the thread is busy with a call for `take_text`."""
    busy, gate = threading.Event(), threading.Event()

    def wait():
        busy.set()
        gate.wait(PATIENCE / 1000)
        return "waited"

    receiver.worker.ask(wait, then=receiver.take_text)
    assert busy.wait(PATIENCE / 1000)
    yield gate
    gate.set()


def thread_of_worker():
    return next((thread for thread in threading.enumerate() if thread.name == "test-worker"), None)


def test_function_is_called_in_the_thread_and_its_result_comes_in_the_windows(receiver, qtbot):
    caller = []
    receiver.worker.ask(lambda: caller.append(threading.current_thread().name) or 3, then=receiver.take_number)
    qtbot.waitUntil(lambda: receiver.numbers == [3], timeout=PATIENCE)
    assert caller == ["test-worker"]
    assert receiver.threads == [QThread.currentThread()]


def test_newest_waiting_call_of_a_method_replaces_the_others(receiver, gate, qtbot):
    made = []
    for number in range(3):
        receiver.worker.ask(lambda number=number: made.append(number) or number, then=receiver.take_number)
    receiver.worker.ask(lambda: "another method", then=receiver.take_text)
    gate.set()
    qtbot.waitUntil(lambda: receiver.texts == ["waited", "another method"], timeout=PATIENCE)
    assert receiver.numbers == [2]
    assert made == [2]


def test_exception_comes_to_its_own_method(receiver, qtbot):
    receiver.worker.ask(lambda: 1 // 0, then=receiver.take_number, failed=receiver.take_error)
    qtbot.waitUntil(lambda: len(receiver.errors) == 1, timeout=PATIENCE)
    assert isinstance(receiver.errors[0], ZeroDivisionError)
    assert receiver.numbers == []


def test_thread_goes_on_after_an_exception_that_nobody_takes(receiver, qtbot):
    receiver.worker.ask(lambda: 1 // 0, then=receiver.take_number)
    receiver.worker.ask(lambda: "next", then=receiver.take_text)
    qtbot.waitUntil(lambda: receiver.texts == ["next"], timeout=PATIENCE)
    assert receiver.numbers == []


def test_waiting_calls_are_dropped_at_the_end(receiver, gate, qtbot):
    made = []
    receiver.worker.ask(lambda: made.append(1), then=receiver.take_number)
    receiver.worker.end()
    gate.set()
    qtbot.waitUntil(lambda: thread_of_worker() is None, timeout=PATIENCE)
    assert made == []


def test_thread_keeps_no_receiver_alive(qtbot):
    receivers = [Receiver()]
    receivers[0].worker.ask(lambda: 1, then=receivers[0].take_number, failed=receivers[0].take_error)
    qtbot.waitUntil(lambda: receivers[0].numbers == [1], timeout=PATIENCE)
    alive = weakref.ref(receivers.pop())
    gc.collect()
    assert alive() is None
    qtbot.waitUntil(lambda: thread_of_worker() is None, timeout=PATIENCE)


def test_result_of_a_deleted_receiver_is_dropped(receiver, gate, qtbot):
    receiver.worker.ask(lambda: 1, then=receiver.take_number)
    receiver.deleteLater()
    qtbot.wait(50)
    gate.set()
    qtbot.wait(300)
    assert receiver.numbers == []
    assert receiver.texts == []
