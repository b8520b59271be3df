"""The thread that computes a page of particles: one after the other, only while somebody looks, errors told once."""

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from napari_cryospin.widgets.kit.page_worker import PageWorker
from napari_cryospin.widgets.kit.particle_tiles import ParticleTiles


class Tiles(ParticleTiles):
    def __init__(self):
        super().__init__()
        self.known = {}

    def knows(self, row):
        return row in self.known


@pytest.fixture
def page(qtbot):
    tiles = Tiles()
    qtbot.addWidget(tiles)
    tiles.rows = np.array([5, 2, 9])
    worker = PageWorker("test-page", tiles, lambda: False, tiles)
    worker.told = []
    worker.found.connect(tiles.known.__setitem__)
    worker.failed.connect(worker.told.append)
    with qtbot.waitExposed(tiles):
        tiles.show()
    yield worker
    worker.end()


def held(go):
    """A computation that waits for `go`, or until it is cancelled."""

    def compute(row, cancelled):
        while not go.wait(0.01):
            if cancelled.is_set():
                raise CancelledError
        return -row

    return compute


def test_particles_come_one_after_the_other_in_the_order_of_the_page(page, qtbot):
    asked, known_then = [], []

    def compute(row, _cancelled):
        asked.append(row)
        known_then.append(len(page.tiles.known))
        return -row

    page.begin(compute)
    with qtbot.waitSignal(page.page_done):
        page.fill()
    assert asked == [5, 2, 9]
    assert known_then == [0, 1, 2]  # each was handed over before the next was begun
    assert page.tiles.known == {5: -5, 2: -2, 9: -9}
    page.fill()
    assert not page.working  # what is known is not computed again


def test_nothing_is_computed_while_nobody_looks(page, qtbot):
    go = threading.Event()
    page.begin(held(go))
    page.fill()
    assert page.working
    page.tiles.hide()
    assert not page.working
    page.fill()
    assert not page.working
    go.set()
    with qtbot.waitSignal(page.page_done):
        page.tiles.show()  # goes on by itself
    assert set(page.tiles.known) == {2, 5, 9}
    assert page.told == []  # to be cancelled is no failure


def test_what_was_computed_in_an_earlier_way_is_dropped(page, qtbot):
    go = threading.Event()

    def slow(row, _cancelled):
        go.wait(10)
        raise ValueError("of the run that was left")

    page.begin(slow)
    page.fill()
    page.begin(lambda row, _cancelled: row)
    page.fill()
    go.set()
    qtbot.waitUntil(lambda: len(page.tiles.known) == 3)
    assert page.tiles.known[5] == 5
    assert page.told == []


def test_a_failure_is_told_once_and_another_beginning_recovers(page, qtbot):
    asked = []

    def broken(row, _cancelled):
        asked.append(row)
        raise ValueError("images.mrcs: cannot be read")

    page.begin(broken)
    page.fill()
    qtbot.waitUntil(lambda: page.told == ["images.mrcs: cannot be read"])
    page.fill()
    assert not page.working
    assert asked == [5]
    page.begin(lambda row, _cancelled: row)
    page.fill()
    qtbot.waitUntil(lambda: len(page.tiles.known) == 3)
