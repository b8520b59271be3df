"""Runs on disk that the tests of exports share: made by hand, with poses that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.results import PARTICLES_FILE, ResultsRecord
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from support.records import epoch_record, particle_record

MakeRun = Callable[..., RunFolder]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run(particles_file, rows, finished=True, settings=..., options=..., of_epoch=..., **arrays)`."""

    def make(
        particles: Path,
        rows: Any,
        *,
        finished: bool = True,
        settings: Settings | None = None,
        options: dict[str, Any] | None = None,
        of_epoch: Mapping[str, Any] = MappingProxyType({}),
        **arrays: Any,
    ) -> RunFolder:
        rows, rng = np.asarray(rows), np.random.default_rng(0)
        source = RunInput(particles=particles, **(options or {}))
        folder = RunFolder.create(tmp_path / "run", source, settings or Settings())
        count = len(rows)
        values: dict[str, Any] = {
            "rows": rows,
            "rotations": Rotation.random(count, random_state=1).as_matrix(),
            "shifts": rng.normal(0, 5, (count, 2)),
            "winner": rng.integers(-1, 4, count).astype(np.int16),
            "best_head": rng.integers(0, 3, count).astype(np.int16),
            "entropy": rng.uniform(0, 3, count).astype(np.float32),
            "error": rng.uniform(100, 200, count).astype(np.float32),
        }
        if finished:
            values["max_probability"] = rng.uniform(0, 1, count).astype(np.float32)
            values["significant_samples"] = rng.integers(1, 99, count).astype(np.int32)
            values["log_likelihood"] = rng.normal(-500, 9, count).astype(np.float32)
        record, stage = particle_record(count, **(values | arrays)), "auto-decoding"
        if finished:
            ResultsRecord(epoch=7, stage=stage, particles=record).save(folder.results_path / PARTICLES_FILE)
        else:
            folder.write_history(epoch_record(7, record, stage=stage, **of_epoch))
        return folder

    return make


@pytest.fixture
def star(tmp_path: Path) -> Path:
    """Twelve particles of RELION 3.1 without images, in two optics groups, with columns that nobody knows."""
    optics = "\n".join(f"{g} group{g} 300.0 2.7 0.1 {1.5 * g} {64 // g} 2" for g in (1, 2))
    rows = "\n".join(
        f"{k + 1:06d}@far/stack{k % 3}.mrcs mic{k // 4}.mrc {k % 2 + 1} {15000 + k}.123456 14000.0 {k}.5 1.0 2.0 3.0 "
        f"0.5 -0.5 {k}.250 -123.4 7 '{k} words' 1"
        for k in range(12)
    )
    particles = (
        "ImageName MicrographName OpticsGroup DefocusU DefocusV DefocusAngle AngleRot AngleTilt AnglePsi "
        "OriginXAngst OriginYAngst CoordinateX LogLikeliContribution NrOfSignificantSamples Note ClassNumber"
    )
    groups = "OpticsGroup OpticsGroupName Voltage SphericalAberration AmplitudeContrast ImagePixelSize ImageSize "
    path = tmp_path / "input" / "particles.star"
    path.parent.mkdir()
    path.write_text(
        f"# version 30001\n\ndata_optics\n\nloop_\n{labels(groups + 'ImageDimensionality')}{optics}\n\n"
        f"data_particles\n\nloop_\n{labels(particles)}{rows}\n\n"
    )
    return path


def labels(names: str) -> str:
    return "".join(f"_rln{name} #{number}\n" for number, name in enumerate(names.split(), start=1))
