"""A run's thread catches everything and ends when asked; a run's process is a process of its own."""

import os
import time
from pathlib import Path

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import RunThread, start_process
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings


def test_the_thread_keeps_what_was_raised(caplog):
    def work(stop):
        raise RuntimeError("CUDA out of memory")

    thread = RunThread(work)
    thread.start()
    thread.join(5)
    assert str(thread.error) == "CUDA out of memory"
    assert "CUDA out of memory" in caplog.text


def test_the_thread_ends_when_asked():
    thread = RunThread(lambda stop: stop.wait(60) and None)
    thread.start()
    before = time.monotonic()
    thread.stop.set()
    thread.join(5)
    assert time.monotonic() - before < 1
    assert thread.error is None


def test_the_process_says_why_it_cannot_run(tmp_path):
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=Path("missing.star")), Settings())
    process = start_process(folder)
    assert os.getsid(process.pid) != os.getsid(0)
    assert process.wait(120) == 2
    output = (folder.path / "output.txt").read_text()
    assert "missing.star" in output
    assert "Traceback" not in output
    assert folder.read_status().state == "failed"
