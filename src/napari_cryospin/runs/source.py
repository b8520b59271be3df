"""The input of a run: the particle file, and the files and values given beside it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """Files and values that are given beside the particle file."""

    data_dir: Path | None = None
    """Folder in which image stacks are looked for as well."""
    passthrough: tuple[Path, ...] = ()
    """cryoSPARC passthrough files, joined by uid."""
    ctf: Path | None = None
    """cryoDRGN CTF parameters (.pkl) of a bare stack."""
    poses: Path | None = None
    """cryoDRGN poses (.pkl) of a bare stack."""
    pixel_size: float | None = None
    """Pixel size of a bare stack, or of a file that says none, in A."""


@dataclass(frozen=True, kw_only=True)
class RunInput(InputOptions):
    """The particle file and everything else that is needed to open the particles of a run again."""

    particles: Path
    """Particles: .star, .cs, .csg, .mrcs or .mrc."""

    @property
    def options(self) -> dict[str, Any]:
        """The values of `InputOptions`, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(InputOptions)}

    def to_json(self) -> str:
        """Return JSON with absolute paths, which is valid in any working directory."""
        values = self.options | {"particles": self.particles}
        return json.dumps(values, indent=2, default=lambda path: str(path.absolute()))

    @classmethod
    def from_json(cls, text: str) -> RunInput:
        """Read JSON that `to_json` returned."""
        values = json.loads(text)
        paths = {name: Path(values[name]) for name in ("particles", "data_dir", "ctf", "poses") if values[name]}
        passthrough = tuple(Path(path) for path in values["passthrough"])
        return cls(**{**values, **paths, "passthrough": passthrough})
