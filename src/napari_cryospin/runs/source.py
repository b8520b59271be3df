"""Which files a run reads."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """What is needed beside the particles' file itself."""

    data_dir: Path | None = None
    """Folder in which image stacks are looked for as well."""
    passthrough: tuple[Path, ...] = ()
    """cryoSPARC passthrough files, joined by uid."""
    ctf: Path | None = None
    """cryoDRGN CTF parameters (.pkl) of a bare stack."""
    poses: Path | None = None
    """cryoDRGN poses (.pkl) of a bare stack."""
    pixel_size: float | None = None
    """Pixel size of a bare stack, in A."""


@dataclass(frozen=True, kw_only=True)
class RunInput(InputOptions):
    """All that is needed to open a run's particles again."""

    particles: Path
    """Particles: .star, .cs, .csg, .mrcs or .mrc."""

    @property
    def options(self) -> dict[str, Any]:
        """What goes with the particles' file, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(InputOptions)}

    def to_json(self) -> str:
        """Write JSON with absolute paths, so that it holds from any working directory."""
        values = self.options | {"particles": self.particles}
        return json.dumps(values, indent=2, default=lambda path: str(path.absolute()))

    @classmethod
    def from_json(cls, text: str) -> RunInput:
        values = json.loads(text)
        paths = {name: Path(values[name]) for name in ("particles", "data_dir", "ctf", "poses") if values[name]}
        passthrough = tuple(Path(path) for path in values["passthrough"])
        return cls(**{**values, **paths, "passthrough": passthrough})
