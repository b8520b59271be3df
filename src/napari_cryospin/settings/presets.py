"""Full sets of settings, by name."""

from __future__ import annotations

import dataclasses

from napari_cryospin.settings.groups import (
    EncoderSettings,
    PosteriorSettings,
    PreparationSettings,
    ScheduleSettings,
    Settings,
    VolumeSettings,
)

PAPER_SYNTHETIC = Settings(
    preset="paper-synthetic",
    encoder=EncoderSettings(heads=7, trunk="vgg16", encoder_box=128, encoder_learning_rate=1e-4, shifts=False),
    schedule=ScheduleSettings(epochs=20, switch=7),
)
DEFAULT_PRESET = "quick"
"""The preset that is used where none is named."""
PRESETS: dict[str, Settings] = {
    "quick": Settings(
        preset="quick",
        encoder=EncoderSettings(encoder_box=24, encoder_input="phase-flipped", encoder_batch=50),
        volume=VolumeSettings(
            volume_update="wiener", scales="particle", padding=2, first_band=4, encoding_band=11, grow_further=True
        ),
        schedule=ScheduleSettings(
            epochs=44, decoding_epochs=20, switch="automatic", batch_size=500, pose_update="gauss-newton", pose_steps=3
        ),
        posterior=PosteriorSettings(posterior_sample=True, teaching=0.3, search_at_switch=True, junk=True, mates=True),
    ),
    "paper-synthetic": PAPER_SYNTHETIC,
    "paper-experimental": dataclasses.replace(
        PAPER_SYNTHETIC,
        preset="paper-experimental",
        preparation=PreparationSettings(half_sets=True),
        encoder=dataclasses.replace(PAPER_SYNTHETIC.encoder, heads=15, shifts=True),
        schedule=ScheduleSettings(epochs=30, switch=15),
    ),
    "paper-cpu": Settings(
        preset="paper-cpu",
        # The paper's larger number of heads: with seven, most small runs stay at a poor map (docs/benchmarks.md).
        encoder=EncoderSettings(heads=15, encoder_box=32, shifts=False),
        volume=VolumeSettings(first_band=4, growth_steps=2000),
        schedule=ScheduleSettings(epochs=80, switch=70),
    ),
}
"""Full sets of settings. quick: the fastest way to the right answer we know. paper-synthetic, paper-experimental: the
paper, nothing added. paper-cpu: the paper, and what small stacks need to converge on a CPU."""
