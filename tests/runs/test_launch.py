"""A run's thread catches everything and ends when asked; a run's process is a process of its own."""

import os
import subprocess
from pathlib import Path

import pytest

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.launch import RunThread, job_of, start_process, submit, write_job_script
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
    thread.stop.set()
    thread.join(30)
    assert not thread.is_alive()
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


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "a run", RunInput(particles=Path("missing.star")), Settings())


def put_sbatch(tmp_path, monkeypatch, body):
    """An sbatch that behaves as `body` (shell) says."""
    path = tmp_path / "bin" / "sbatch"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def test_the_job_script_is_one_that_a_shell_runs(folder):
    script = write_job_script(folder, "--gres=gpu:1\n\n--time=1:00:00")
    lines = script.read_text().splitlines()
    assert {"#SBATCH --gres=gpu:1", "#SBATCH --time=1:00:00"} <= set(lines)
    result = subprocess.run(["bash", script], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 2
    assert "missing.star" in result.stderr


def test_a_job_is_submitted_and_its_number_kept(folder, tmp_path, monkeypatch):
    put_sbatch(tmp_path, monkeypatch, 'test -f "$2" && echo "4711;cluster"')
    assert job_of(folder) is None
    assert submit(folder) == "4711"
    assert job_of(folder) == "4711"


def test_what_slurm_refuses_is_said(folder, tmp_path, monkeypatch):
    put_sbatch(tmp_path, monkeypatch, "echo 'invalid partition' >&2; exit 1")
    with pytest.raises(ValueError, match="invalid partition"):
        submit(folder)
    with pytest.raises(ValueError, match="'gpu please'"):
        submit(folder, "gpu please")


def test_without_slurm_the_script_is_left_for_another_machine(folder, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="sbatch: not found on this machine"):
        submit(folder)
    assert (folder.path / "job.sh").is_file()
    assert job_of(folder) == ""
