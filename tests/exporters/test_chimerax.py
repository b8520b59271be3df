"""Scripts, geometry and remote control for ChimeraX, whose documentation says what they must hold."""

import re
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from napari_cryospin.exporters import chimerax_program
from napari_cryospin.exporters.chimerax import ChimeraXView, camera_matrix, export_chimerax, quoted, script_text
from napari_cryospin.exporters.chimerax_program import find_chimerax
from napari_cryospin.exporters.chimerax_remote import ChimeraXError, ChimeraXRemote, LiveModel
from napari_cryospin.exporters.options import ExportOptions
from napari_cryospin.exporters.table import export_run
from napari_cryospin.geometry.angles import rotation_from_euler
from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.io.bild import write_distribution
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from support.records import epoch_record, particle_record


def snapshot(step=5, box=16, pixel_size=2.0):
    rng = np.random.default_rng(step)
    rotations = np.stack([rotation_from_euler(angles) for angles in rng.uniform(0, 90, (20, 3))])
    return Snapshot(
        step=step,
        epoch=1,
        stage="auto-encoding",
        map=rng.normal(size=(box,) * 3),
        pixel_size=pixel_size,
        particles=particle_record(20, rotations=rotations),
        head_share=np.ones(2) / 2,
        loss=1.0,
        resolution=10.0,
        switch_ready=False,
        switch_reason="",
        noise=np.ones((1, box // 2)),
        band=4,
        max_shift=0.0,
    )


@pytest.fixture
def run(tmp_path):
    folder = RunFolder.create(tmp_path / "run", RunInput(particles=Path("p.star")), Settings())
    folder.write_snapshot(snapshot())
    for epoch in (1, 2, 10):
        shown = snapshot(epoch)
        folder.write_history(epoch_record(epoch, shown.particles, map=shown.map, pixel_size=2.0))
    return folder


def quiet(share, text):
    assert 0 <= share <= 1
    assert text


def test_script_shows_what_was_exported_at_the_window_s_level(run, tmp_path):
    options = ExportOptions(contour=0.05, colour="#112233", view=(30, 50, 70))
    script, *others = export_chimerax(run, tmp_path / "out", options, quiet).paths
    text = script.read_text()
    opened = re.findall(r'open "([^"]+)"', text)
    assert all(list(script.parent.glob(name)) for name in opened)
    assert {path.name for path in others} >= {"map.mrc", "directions.bild"}
    level = float(re.search(r"volume #1 .* level (\S+)", text).group(1))
    with mrcfile.open(tmp_path / "out" / "map.mrc") as file:
        assert (file.data > level).mean() == pytest.approx(0.05, abs=0.001)
    assert "color #112233" in text
    assert f"view matrix camera {camera_matrix(rotation_from_euler((30, 50, 70)), 16, 2.0)}\n" in text
    assert mrcfile.validate(tmp_path / "out" / "map.mrc")


NUMBER = r"-?[\d.]+(e[-+]\d+)?"
DOCUMENTED = {
    "close.html": r"close #\d+",
    "hide.html": r"(hide|show) #\d+(-\d+)? models",
    "info.html": "info models",
    "lighting.html": "lighting soft",
    "open.html": r'open "[^"\n]+"( name \S+| vseries true)?',
    "view.html": rf"view (#\d+|matrix camera {NUMBER}(,{NUMBER}){{11}})",
    "volume.html": rf"volume #\d+ style surface level {NUMBER} step 1 color #[\da-f]{{6}}",
    "volume.html#add": r"volume add #\d+,\d+ onGrid #\d+ scaleFactors 0,1 inPlace true",
    "volume.html#new": rf'volume new "[^"]+" size \d+ gridSpacing {NUMBER} valueType float32 modelId #\d+',
    "vseries.html": r"vseries play #\d+ normalize true",
}
"""Page of ChimeraX's documentation (docs/user/commands) -> the form of a command as it is there, of those in use."""


def test_no_command_but_those_of_the_documentation(run, tmp_path, fake_chimerax):
    script = export_chimerax(run, tmp_path / "out", ExportOptions(), quiet).paths[0]
    maps = [tmp_path / "out" / "map.mrc"] * 3
    lines = script_text(maps, script, sorted((tmp_path / "out" / "series").iterdir()), ChimeraXView()).splitlines()
    told = [line.split(": ", 1)[1].split("; ") for line in lines[1:] if line.startswith("#")]
    commands = [line for line in lines if not line.startswith("#")] + [command for part in told for command in part]
    live = LiveModel(ChimeraXRemote(fake_chimerax.server_port))
    for shown in (snapshot(step=1), snapshot(step=2), snapshot(step=3, box=8)):
        live.show(shown)
    commands += fake_chimerax.commands
    forms = {page: re.compile(form) for page, form in DOCUMENTED.items()}
    used = {command: [page for page, form in forms.items() if form.fullmatch(command)] for command in commands}
    assert [command for command, pages in used.items() if not pages] == []
    assert {page for pages in used.values() for page in pages} == set(DOCUMENTED)


def test_series_is_named_so_that_chimerax_tells_its_order(run, tmp_path):
    export_chimerax(run, tmp_path / "out", ExportOptions(), quiet)
    names = sorted(path.name for path in (tmp_path / "out" / "series").iterdir())
    # open.html: a file is time point 12 if its name contains _stack0012_
    assert [int(re.search(r"_stack(\d+)_", name).group(1)) for name in names] == [1, 2, 10]


def test_maps_of_an_older_export_do_not_join_the_series(run, tmp_path):
    export_run(run, "chimerax", tmp_path / "out")
    (run.path / "history" / "epoch_0010.npz").unlink()
    (tmp_path / "out" / "mine.txt").touch()
    export_run(run, "chimerax", tmp_path / "out")
    assert len(list((tmp_path / "out" / "series").iterdir())) == 2
    assert (tmp_path / "out" / "mine.txt").exists()


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
    monkeypatch.setattr(chimerax_program, "USUAL_FOLDERS", (f"{tmp_path}/none*/ChimeraX",))
    with pytest.raises(FileNotFoundError, match=r"none.*CHIMERAX_PATH"):
        find_chimerax()
    monkeypatch.setattr(chimerax_program, "USUAL_FOLDERS", (f"{tmp_path}/ChimeraX*/bin/ChimeraX",))
    assert find_chimerax() == program


def test_live_model_is_set_up_once_and_then_only_its_values_change(fake_chimerax):
    live = LiveModel(ChimeraXRemote(fake_chimerax.server_port), ChimeraXView(colour="#abcdef"))
    live.show(snapshot(step=1))
    first = list(fake_chimerax.commands)
    assert any(command.startswith("volume #900 style surface") for command in first)
    assert list(fake_chimerax.models) == ["#900"]
    fake_chimerax.commands.clear()
    later = snapshot(step=2)
    live.show(replace(later, map=5 * later.map), flip=True)
    assert list(fake_chimerax.models) == ["#900"]
    assert not any("level" in command or "color" in command for command in fake_chimerax.commands)
    changed = [command for command in fake_chimerax.commands if "inPlace true" in command]
    assert changed == ["volume add #900,2 onGrid #900 scaleFactors 0,1 inPlace true"]
    deviation = snapshot(step=1).map.std()  # the level that was set still encloses as much
    expected = flip_hand(later.map) * deviation / later.map.std()
    np.testing.assert_allclose(fake_chimerax.sent[1], expected, rtol=1e-4, atol=1e-5)


def test_live_model_of_another_grid_is_made_anew_and_one_that_was_closed_is_not(fake_chimerax):
    live = LiveModel(ChimeraXRemote(fake_chimerax.server_port))
    live.show(snapshot(step=1))
    LiveModel(ChimeraXRemote(fake_chimerax.server_port)).show(snapshot(step=1, box=8))  # of another run
    assert list(fake_chimerax.models) == ["#900"]
    assert 'volume new "cryoSPIN live" size 8 gridSpacing 2 valueType float32 modelId #900' in fake_chimerax.commands
    fake_chimerax.models.clear()
    with pytest.raises(ChimeraXError, match="closed in ChimeraX"):
        live.show(snapshot(step=2))


def test_errors_say_what_to_do(fake_chimerax):
    remote = ChimeraXRemote(fake_chimerax.server_port, timeout=0.3)
    with pytest.raises(ChimeraXError, match="Unknown command: nonsense"):
        remote.run("nonsense")
    fake_chimerax.body = "plain text: json false"
    with pytest.raises(ChimeraXError, match="json true"):
        remote.run("info models")
    fake_chimerax.delay = 1.0
    with pytest.raises(ChimeraXError, match="did not answer"):
        remote.run("info models")
    fake_chimerax.shutdown()
    fake_chimerax.server_close()
    with pytest.raises(ChimeraXError, match="remotecontrol rest start port"):
        remote.run("info models")
