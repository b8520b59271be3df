"""Scripts, geometry and remote control for ChimeraX, whose documentation says what they must hold."""

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import mrcfile
import numpy as np
import pytest

from napari_cryospin.export import chimerax_program
from napari_cryospin.export.chimerax import Look, camera_matrix, export_chimerax, quoted
from napari_cryospin.export.chimerax_program import find_chimerax
from napari_cryospin.export.chimerax_remote import ChimeraXError, ChimeraXRemote, LiveModel
from napari_cryospin.io.angles import rotation_from_euler
from napari_cryospin.io.bild import write_distribution
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.messages import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings


def snapshot(step=5, box=16, pixel_size=2.0):
    rng = np.random.default_rng(step)
    rotations = np.stack([rotation_from_euler(angles) for angles in rng.uniform(0, 90, (20, 3))])
    return Snapshot(
        step=step,
        epoch=1,
        stage="auto-encoding",
        map=rng.normal(size=(box,) * 3),
        pixel_size=pixel_size,
        rotations=rotations,
        shifts=np.zeros((20, 2)),
        winning_head=np.zeros(20),
        head_share=np.ones(2) / 2,
        loss=1.0,
        resolution=10.0,
        switch_ready=False,
        switch_reason="",
        indices=np.arange(20),
        noise=np.ones((1, box // 2)),
        band=4,
        max_shift=0.0,
        half_sets=np.zeros(20),
    )


@pytest.fixture
def run(tmp_path):
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=Path("p.star")), Settings())
    folder.write_snapshot(snapshot())
    for epoch in (1, 2, 10):
        density = snapshot(epoch).map.astype(np.float16)
        folder.write_history(epoch, {"map": density, "pixel_size": np.float32(2.0)})
    return folder


def test_script_shows_what_was_exported_at_the_window_s_level(run, tmp_path):
    script, *others = export_chimerax(run, tmp_path / "out", Look(enclosed=0.05, colour="#112233"))
    text = script.read_text()
    opened = re.findall(r'open "([^"]+)"', text)
    assert all(list(script.parent.glob(name)) for name in opened)
    assert {path.name for path in others} >= {"map.mrc", "directions.bild"}
    level = float(re.search(r"volume #1 .* level (\S+)", text).group(1))
    with mrcfile.open(tmp_path / "out" / "map.mrc") as file:
        assert (file.data > level).mean() == pytest.approx(0.05, abs=0.001)
    assert "color #112233" in text
    assert mrcfile.validate(tmp_path / "out" / "map.mrc")


def test_series_is_named_so_that_chimerax_tells_its_order(run, tmp_path):
    export_chimerax(run, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "series").iterdir())
    # open.html: a file is time point 12 if its name contains _stack0012_
    assert [int(re.search(r"_stack(\d+)_", name).group(1)) for name in names] == [1, 2, 10]


def test_camera_looks_as_the_window_does():
    rotation = rotation_from_euler((30, 50, 70))
    matrix = np.array([float(value) for value in camera_matrix(rotation, 64, 2.0).split(",")]).reshape(3, 4)
    np.testing.assert_allclose(matrix[:, :3], rotation.T, atol=1e-5)
    away = matrix[:, 3] - 64.0  # from the map's centre, index 32 of 2 A
    np.testing.assert_allclose(away / np.linalg.norm(away), rotation[2], atol=1e-5)


def test_cylinders_stand_in_the_view_directions_about_the_map_s_centre(tmp_path):
    directions = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    write_distribution(tmp_path / "d.bild", directions, np.array([2, 4, 0]), box_size=10, pixel_size=3.0)
    lines = [line.split() for line in (tmp_path / "d.bild").read_text().splitlines() if line.startswith(".cyl")]
    cylinders = np.array([[float(value) for value in line[1:]] for line in lines])
    assert len(cylinders) == 2  # none where there is no particle
    np.testing.assert_allclose(cylinders[0, :3], [15 + 16.5, 15, 15])
    np.testing.assert_allclose(cylinders[1, :3], [15, 15, 15 - 16.5])
    lengths = np.linalg.norm(cylinders[:, 3:6] - cylinders[:, :3], axis=1)
    assert lengths[1] == pytest.approx(2 * lengths[0], abs=1e-2)


def test_a_path_that_no_command_can_hold_is_refused():
    assert quoted("my maps/a.mrc") == '"my maps/a.mrc"'
    with pytest.raises(ValueError, match="quotation"):
        quoted('a".mrc')


def test_chimerax_is_found_or_it_is_said_where_it_was_looked_for(tmp_path, monkeypatch):
    program = tmp_path / "ChimeraX-1.9" / "bin" / "ChimeraX"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.setenv("CHIMERAX_PATH", str(program.parents[1]))
    assert find_chimerax() == program
    monkeypatch.setenv("CHIMERAX_PATH", str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="CHIMERAX_PATH is"):
        find_chimerax()
    monkeypatch.delenv("CHIMERAX_PATH")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chimerax_program, "USUAL", (f"{tmp_path}/none*/ChimeraX",))
    with pytest.raises(FileNotFoundError, match=r"none.*CHIMERAX_PATH"):
        find_chimerax()
    monkeypatch.setattr(chimerax_program, "USUAL", (f"{tmp_path}/ChimeraX*/bin/ChimeraX",))
    assert find_chimerax() == program


class Documented(BaseHTTPRequestHandler):
    """Answers as remotecontrol.html says: models are opened, listed and closed; anything else succeeds in silence."""

    def do_GET(self):
        server, url = self.server, urlparse(self.path)
        assert url.path == "/run"
        (command,) = parse_qs(url.query)["command"]
        server.commands.append(command)
        time.sleep(server.delay)
        error, messages = None, []
        words = command.split()
        if words[0] == "open":
            assert Path(re.search(r'"([^"]+)"', command).group(1)).is_file()
            server.models[f"#{len(server.models) + 1}"] = words[-1]
        elif command.startswith("volume new"):
            server.models["#900"] = "cryoSPIN live"
        elif words[0] == "close":
            del server.models[words[1]]
        elif command == "info models":
            messages = [
                "\n".join(f'model id {number} type Volume name "{name}"' for number, name in server.models.items())
            ]
        elif words[0] == "nonsense":
            error = {"type": "UserError", "message": "Unknown command: nonsense"}
        reply = {"python values": [], "json values": [], "log messages": {"info": messages}, "error": error}
        body = server.body or json.dumps(reply)
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # the client did not wait
            self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Documented)
    server.commands, server.models, server.delay, server.body = [], {}, 0.0, ""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_live_model_is_set_up_once_and_then_only_its_values_change(server):
    live = LiveModel(ChimeraXRemote(server.server_port), Look(colour="#abcdef"))
    live.show(snapshot(step=1))
    first = list(server.commands)
    assert any(command.startswith("volume #900 style surface") for command in first)
    assert list(server.models) == ["#900"]
    server.commands.clear()
    live.show(snapshot(step=2))
    assert list(server.models) == ["#900"]
    assert not any("level" in command or "color" in command for command in server.commands)
    changed = [command for command in server.commands if "inPlace true" in command]
    assert changed == ["volume add #900,2 onGrid #900 scaleFactors 0,1 inPlace true"]


def test_errors_say_what_to_do(server):
    remote = ChimeraXRemote(server.server_port, timeout=0.3)
    with pytest.raises(ChimeraXError, match="Unknown command: nonsense"):
        remote.run("nonsense")
    server.body = "plain text: json false"
    with pytest.raises(ChimeraXError, match="json true"):
        remote.run("info models")
    server.delay = 1.0
    with pytest.raises(ChimeraXError, match="did not answer"):
        remote.run("info models")
    server.shutdown()
    server.server_close()
    with pytest.raises(ChimeraXError, match="remotecontrol rest start port"):
        remote.run("info models")
