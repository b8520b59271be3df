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
HALF_TURNED = dataclasses.replace(PAPER_SYNTHETIC.encoder, heads=1, half_turned=True, shifts=True)
"""cryoAI's encoder: the paper's sizes with one head, and the half-turned copy of each image."""
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
    "cryoposenet": Settings(
        preset="cryoposenet",
        method="cryoposenet",
        encoder=dataclasses.replace(PAPER_SYNTHETIC.encoder, heads=1, shifts=True),
    ),
    "cryoai": Settings(
        preset="cryoai",
        method="cryoai",
        encoder=HALF_TURNED,
        volume=VolumeSettings(volume_update="implicit", volume_learning_rate=1e-4),
    ),
    "cryoai-explicit": Settings(preset="cryoai-explicit", method="cryoai-explicit", encoder=HALF_TURNED),
    "hierarchical": Settings(
        preset="hierarchical",
        method="hierarchical",
        volume=VolumeSettings(first_band=4, growth_steps=2000),
    ),
    "known-poses": Settings(
        preset="known-poses",
        method="known-poses",
        volume=VolumeSettings(volume_update="wiener", padding=2),
        schedule=ScheduleSettings(epochs=2, batch_size=500),
    ),
}
"""Full sets of settings. quick: the fastest way to the right answer we know. paper-synthetic, paper-experimental: the
paper, nothing added. paper-cpu: the paper, and what small stacks need to converge on a CPU. The others: a method each,
at the sizes of its own paper (docs/method.md)."""
