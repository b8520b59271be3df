"""Client of the REST remote control of a running ChimeraX, on this machine only.

The command `remotecontrol rest start port 60958 json true` starts the remote control in ChimeraX. Requests and replies
are documented at https://www.cgl.ucsf.edu/chimerax/docs/user/commands/remotecontrol.html: a request is a GET of
/run?command=..., and the reply is a JSON object with "python values", "json values", "log messages" and "error".
"""

from __future__ import annotations

import http.client
import json
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from numpy.typing import NDArray

from napari_cryospin.exporters.chimerax import ChimeraXView, camera_matrix, level_command, quoted
from napari_cryospin.geometry.hand import flip_hand
from napari_cryospin.io.mrc import write_map
from napari_cryospin.runs.snapshot import Snapshot

HOST = "127.0.0.1"
"""Address of this machine. A command can run any program, so commands are never sent to another machine."""
PORT = 60958
"""Port of the remote control by default. Chosen by hand."""
REMOTE_CONTROL_COMMAND = "remotecontrol rest start port {port} json true"
"""Command that starts the remote control in ChimeraX."""
LIVE_MODEL_NAME = "cryoSPIN live"
"""Name of the model that follows a run."""
LIVE_MODEL_ID = "#900"
"""Number of the model that follows a run. Chosen by hand, far from the numbers that ChimeraX assigns itself."""


class ChimeraXError(Exception):
    """A failure of ChimeraX to be reached, to answer or to obey a command; the message says which, and what to do."""


class ChimeraXRemote:
    """A client that sends commands to a running ChimeraX. Calls wait for the answer, so they belong in a worker thread.

    Parameters
    ----------
    port
        Port on which ChimeraX listens.
    timeout
        Seconds to wait for an answer.
    """

    def __init__(self, port: int = PORT, timeout: float = 10.0) -> None:
        self.port, self.timeout = port, timeout

    def run(self, command: str) -> dict[str, Any]:
        """Run one command in ChimeraX, and return the values of the reply by name.

        Raises
        ------
        ChimeraXError
            There was no answer, the answer cannot be read, or the command failed.
        """
        connection = http.client.HTTPConnection(HOST, self.port, timeout=self.timeout)
        try:
            connection.request("GET", "/run?" + urlencode({"command": command}))
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except ConnectionRefusedError as error:
            raise ChimeraXError(
                f"no ChimeraX listens on port {self.port}; type this into its command line: "
                + REMOTE_CONTROL_COMMAND.format(port=self.port)
            ) from error
        except TimeoutError as error:
            raise ChimeraXError(f"ChimeraX did not answer {command!r} within {self.timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise ChimeraXError(f"ChimeraX on port {self.port}: {error}") from error
        finally:
            connection.close()
        return _values(response.status, text, command, self.port)

    def find_model(self, name: str) -> str | None:
        """Return the number (such as #3 or #1.2) of a model with this name; None if there is no such model.

        The number is looked for in the list that the command `info models` (info.html) logs.
        """
        messages = self.run("info models")["log messages"]
        lines = "\n".join(str(line) for level in messages.values() for line in level).splitlines()
        numbers = [re.search(r"#[\d.]+", line) for line in lines if name in line]
        return next((number.group() for number in numbers if number), None)


def _values(status: int, text: str, command: str, port: int) -> dict[str, Any]:
    """Return the values of a reply; raise an error if it lacks the documented form, or reports an error."""
    if status != 200:
        raise ChimeraXError(f"ChimeraX answered {command!r} with HTTP status {status}; expected 200")
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ChimeraXError(
            "the answer of ChimeraX is no JSON; restart its remote control with: "
            + REMOTE_CONTROL_COMMAND.format(port=port)
        ) from error
    if not isinstance(values, dict) or "error" not in values or "log messages" not in values:
        raise ChimeraXError(f"an answer of another program than ChimeraX on port {port}; expected its JSON object")
    if values["error"]:
        raise ChimeraXError(f"ChimeraX could not do {command!r}: {values['error'].get('message', values['error'])}")
    return values


class LiveModel:
    """A model in a running ChimeraX that follows a run and keeps the level and colour that the user sets there.

    The first map makes the model and sets its display (`volume new`, volume.html). Each later map replaces the values
    of the model in place (`volume add ... inPlace true`), which leaves the display as it is. Later maps are scaled to
    the standard deviation of the first, so that a level keeps its meaning although the scale of a map grows in a run.

    Parameters
    ----------
    remote
        Client of ChimeraX.
    view
        Contour, colour and view of the first map.
    """

    def __init__(self, remote: ChimeraXRemote, view: ChimeraXView | None = None) -> None:
        self.remote, self.view = remote, view or ChimeraXView()
        self._grid: tuple[int, float] | None = None  # Box and pixel size (A) of the model; None: not made yet.
        self._deviation = 1.0

    def show(self, snapshot: Snapshot, flip: bool = False) -> None:
        """Show a snapshot's map, or its other hand, in the model.

        Raises
        ------
        ChimeraXError
            ChimeraX has ended or refused a command, or the user closed the model there.
        """
        density = flip_hand(snapshot.map) if flip else snapshot.map
        grid = (len(density), snapshot.pixel_size)
        there = self.remote.find_model(LIVE_MODEL_NAME) is not None
        if self._grid is not None and not there:
            raise ChimeraXError("the model was closed in ChimeraX, and is kept up to date no more; send it again")
        fresh = grid != self._grid
        if fresh:
            if there:
                self.remote.run(f"close {LIVE_MODEL_ID}")
            size = f"size {len(density)} gridSpacing {snapshot.pixel_size:.6g}"
            self.remote.run(f'volume new "{LIVE_MODEL_NAME}" {size} valueType float32 modelId {LIVE_MODEL_ID}')
            self._grid, self._deviation = grid, float(density.std())
        deviation = float(density.std())
        scaled = density * (self._deviation / deviation) if deviation else density
        self._fill(scaled, snapshot.pixel_size, f"cryospin-step-{snapshot.step}")
        if fresh:
            self.remote.run(level_command(LIVE_MODEL_ID, scaled, self.view))
            self.remote.run(f"view matrix camera {camera_matrix(self.view.rotation, *grid)}")
            self.remote.run(f"view {LIVE_MODEL_ID}")

    def _fill(self, density: NDArray[Any], pixel_size: float, name: str) -> None:
        """Replace the values of the model by those of a map, which is opened as another model for a moment."""
        run = self.remote.run
        with tempfile.TemporaryDirectory(prefix="cryospin-") as folder:
            path = Path(folder) / f"{name}.mrc"
            write_map(path, density, pixel_size)
            run(f"open {quoted(path.as_posix())} name {name}")
            opened = self.remote.find_model(name)
            if opened is None:
                raise ChimeraXError(f"ChimeraX opened {path.name}, but does not list it")
            try:
                other = opened.removeprefix("#")
                run(f"volume add {LIVE_MODEL_ID},{other} onGrid {LIVE_MODEL_ID} scaleFactors 0,1 inPlace true")
            finally:
                run(f"close {opened}")
