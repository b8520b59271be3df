"""A server that answers as ChimeraX's remote control does."""

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import mrcfile
import pytest


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
            server.sent.append(mrcfile.read(re.search(r'"([^"]+)"', command).group(1)))
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
def fake_chimerax():
    """A server that answers as ChimeraX does; `commands` and maps `sent` so far; `models`: number -> name."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Documented)
    server.commands, server.sent, server.models, server.delay, server.body = [], [], {}, 0.0, ""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
