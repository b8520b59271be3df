"""Every knob of a run, grouped: the command line's flags and the window's forms are made from these classes.

A field's docstring is its help; `Unit` and `Range` in its annotation say unit and admitted values, and are checked.
A preset is a full set of settings (`PRESETS`); what the user gives on top of it overrides (`dataclasses.replace`).
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import textwrap
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

Preset = Literal["quick", "paper-synthetic", "paper-experimental", "paper-cpu"]
Method = Literal["cryospin", "fully-amortized", "search"]


@dataclass(frozen=True)
class Range:
    """Admitted values of a number, both ends included."""

    low: float
    high: float


@dataclass(frozen=True)
class Unit:
    """Unit of a number, as shown behind the field."""

    name: str


@dataclass(frozen=True, kw_only=True)
class PreparationSettings:
    """From the particles' files to the images that inference sees."""

    box: Annotated[int | None, Range(16, 1024), Unit("px")] = None
    """Working box, even; images are Fourier-cropped to it. Default: the input's box, at most 128."""
    mask_radius: Annotated[float | None, Range(1, 1e5), Unit("A")] = None
    """Radius (not diameter) of the soft circular mask. Default: 0.46 of the box."""
    subset: Annotated[int | None, Range(1, 10**9)] = None
    """Use this many particles, drawn at random. Default: all."""
    half_sets: bool = False
    """Reconstruct two halves of the particles independently, interleaved."""
    invert_contrast: bool = False
    """Multiply the images by -1: for dark protein on a light background."""
    noise: Literal["white", "coloured"] = "coloured"
    """Noise variance: one for all frequencies, or one a shell."""
    cache: Annotated[float, Range(0, 1e4), Unit("GiB")] = 4.0
    """Memory for prepared images; where they do not all fit, they are prepared anew in every epoch."""


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """The network that proposes poses (paper, section 4.1)."""

    heads: Annotated[int, Range(1, 64)] = 7
    """Pose candidates an image, each from a head of its own (M)."""
    trunk: Literal["small", "vgg16"] = "small"
    """Convolutional layers before the heads: the paper's VGG16 layout, or a small one for CPUs."""
    encoder_box: Annotated[int, Range(16, 256), Unit("px")] = 32
    """Box of the images that the encoder sees (the working box where that is smaller)."""
    encoder_input: Literal["raw", "phase-flipped"] = "raw"
    """The encoder sees the images as they are (the paper), or with the phases of their CTF flipped."""
    encoder_batch: Annotated[int, Range(1, 65536)] = 64
    """Images a step of the encoder, where that is fewer than a batch."""
    encoder_learning_rate: Annotated[float, Range(0, 1)] = 1e-3
    """Adam step of the encoder."""
    shifts: bool = True
    """Estimate the particles' in-plane shifts as well."""
    max_shift: Annotated[float | None, Range(0, 1e4), Unit("A")] = None
    """Largest shift looked for, along x and y. Default: 0.16 of the box."""


@dataclass(frozen=True, kw_only=True)
class VolumeSettings:
    """The explicit Hartley volume (paper, section 4.3)."""

    volume_update: Literal["adam", "wiener"] = "adam"
    """Gradient steps on mantissa and exponent (the paper), or a running Wiener average of the assigned images."""
    volume_learning_rate: Annotated[float, Range(0, 1)] = 0.05
    """Adam step of the volume while auto-encoding."""
    volume_learning_rate_after_switch: Annotated[float, Range(0, 1)] = 0.02
    """Adam step of the volume while auto-decoding."""
    padding: Annotated[int, Range(1, 2)] = 1
    """Oversampling of the Fourier lattice (the paper: 1)."""
    loss: Literal["squared", "absolute"] = "squared"
    """Squared error (Eq. 3) or mean absolute difference (public code)."""
    first_band: Annotated[int | None, Range(2, 512), Unit("shells")] = None
    """Fourier shells seen at first; the band grows from there. Default: all from the start (the paper)."""
    encoding_band: Annotated[int | None, Range(2, 512), Unit("shells")] = None
    """Fourier shells up to which the band grows before the switch. Default: all."""
    growth_steps: Annotated[int, Range(1, 10**7)] = 60
    """Steps for the band to grow in, from `first_band` to `encoding_band`."""


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """How long, in which steps, and when to switch."""

    epochs: Annotated[int, Range(1, 100000)] = 20
    """Passes over the particles in all, both stages together."""
    decoding_epochs: Annotated[int | None, Range(1, 100000)] = None
    """Epochs after the switch at most, no more than half of `epochs`: an automatic switch leaves time for these, and a
    late switch by hand is followed by as many. Default: up to `epochs`."""
    switch: Literal["by-hand", "automatic"] | int = 7
    """Switch to auto-decoding: by hand, automatic, or after so many epochs."""
    batch_size: Annotated[int, Range(1, 65536)] = 64
    """Images a step."""
    pose_update: Literal["adam", "gauss-newton"] = "adam"
    """Pose steps after the switch: Adam (the paper), or damped Gauss-Newton on all five parameters of a particle."""
    pose_steps: Annotated[int, Range(1, 100)] = 5
    """Pose steps to each volume step while auto-decoding (appendix A)."""
    pose_learning_rate: Annotated[float, Range(0, 10)] = 0.05
    """Adam step of the poses: radian for rotations, pixels of the working box for shifts."""

    @property
    def epochs_kept(self) -> int:
        """Epochs that an automatic switch keeps for the second stage."""
        return max(1, min(self.decoding_epochs or 1, self.epochs // 2))


@dataclass(frozen=True, kw_only=True)
class PosteriorSettings:
    """The grid posterior: as a further candidate, as the encoder's teacher, and as the search at the switch."""

    posterior_sample: bool = False
    """A pose drawn from the grid posterior competes with the heads (not in the paper)."""
    teaching: Annotated[float, Range(0, 100)] = 0.0
    """Weight of pulling the nearest head towards the posterior sample (not in the paper)."""
    search_at_switch: bool = False
    """Search the whole pose grid at the switch, and keep the pose that explains the image better."""
    mates: bool = False
    """Test each particle's mates under the map's near-symmetries (not in the paper)."""


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """Where it runs, and what it leaves behind."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps; two with a comma between, such as cuda:0,cuda:1, for the two half sets."""
    threads: Annotated[int | None, Range(1, 1024)] = None
    """CPU threads. Default: what torch chooses."""
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    """Seed of every random number in the run."""
    checkpoint_every: Annotated[float, Range(0, 1e6), Unit("s")] = 300.0
    """Seconds between checkpoints."""
    snapshot_every: Annotated[float, Range(0, 1e6), Unit("s")] = 2.0
    """Seconds between snapshots, at the least; publishing never takes more than 5 % of the time."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a run."""

    preset: Preset = "paper-cpu"
    """The set of settings that the others override."""
    method: Method = "cryospin"
    """cryospin: heads, then the switch. fully-amortized: the encoder to the end. search: the pose grid alone."""
    preparation: PreparationSettings = field(default_factory=PreparationSettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    volume: VolumeSettings = field(default_factory=VolumeSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    posterior: PosteriorSettings = field(default_factory=PosteriorSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    def __post_init__(self) -> None:
        for group in (self.preparation, self.encoder, self.volume, self.schedule, self.posterior, self.machine):
            check(group)
        box = self.preparation.box
        if box is not None and box % 2:
            raise ValueError(f"settings: box is {box}; expected an even number of pixels")
        bands = self.volume.first_band, self.volume.encoding_band
        if None not in bands and bands[0] > bands[1]:  # type: ignore[operator]
            raise ValueError(f"settings: first_band is {bands[0]}; expected at most encoding_band, {bands[1]} shells")
        if isinstance(self.schedule.switch, int) and self.schedule.switch < 1:
            raise ValueError(f"settings: switch is {self.schedule.switch}; expected by-hand, automatic or epochs >= 1")
        volume, poses = self.volume.volume_update, self.schedule.pose_update
        if self.method != "fully-amortized" and (volume == "wiener") != (poses == "gauss-newton"):
            raise ValueError(
                f"settings: volume_update is {volume}, pose_update {poses}; "
                "expected wiener with gauss-newton, or adam twice"
            )
        if poses == "gauss-newton" and self.volume.loss == "absolute":
            raise ValueError("settings: loss is absolute; expected squared, which gauss-newton poses are steps of")
        switch, epochs = self.schedule.switch, self.schedule.epochs
        if isinstance(switch, int) and switch >= epochs and self.method != "fully-amortized":
            raise ValueError(f"settings: switch is {switch}; expected fewer than the {epochs} epochs in all")
        if self.method == "search" and not (volume == "wiener" and self.posterior.posterior_sample):
            raise ValueError("settings: method is search; expected volume_update wiener and posterior_sample with it")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Settings from `to_json`.

        Raises
        ------
        ValueError
            A field is unknown, or its value is outside its range.
        """
        values: dict[str, Any] = json.loads(text)
        hints = typing.get_type_hints(cls)
        try:
            for name, value in values.items():
                if isinstance(value, dict):
                    values[name] = hints[name](**value)
            return cls(**values)
        except (TypeError, KeyError) as error:
            raise ValueError(f"settings: {error}") from error


def check(group: Any) -> None:
    """Raise `ValueError` where a number of a settings group lies outside its range."""
    for name, hint in typing.get_type_hints(type(group), include_extras=True).items():
        value = getattr(group, name)
        for limit in getattr(hint, "__metadata__", ()):
            if isinstance(limit, Range) and value is not None and not limit.low <= value <= limit.high:
                raise ValueError(f"settings: {name} is {value}; expected {limit.low:g} to {limit.high:g}")


def field_units(group: Any) -> dict[str, str]:
    """Field -> unit, of the fields of a settings group that have one."""
    hints = typing.get_type_hints(group, include_extras=True)
    marks = ((name, mark) for name, hint in hints.items() for mark in getattr(hint, "__metadata__", ()))
    return {name: mark.name for name, mark in marks if isinstance(mark, Unit)}


def field_docstrings(group: Any) -> dict[str, str]:
    """Field -> its help: the text beneath it in the source."""
    (source,) = ast.parse(textwrap.dedent(inspect.getsource(group))).body
    assert isinstance(source, ast.ClassDef)
    found = {}
    for line, text in itertools.pairwise(source.body):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(text, ast.Expr):
            found[line.target.id] = " ".join(ast.literal_eval(text.value).split())
    return found


PAPER_SYNTHETIC = Settings(
    preset="paper-synthetic",
    encoder=EncoderSettings(heads=7, trunk="vgg16", encoder_box=128, encoder_learning_rate=1e-4, shifts=False),
    schedule=ScheduleSettings(epochs=20, switch=7),
)
PRESETS: dict[str, Settings] = {
    "quick": Settings(
        preset="quick",
        encoder=EncoderSettings(encoder_box=24, encoder_input="phase-flipped", encoder_batch=50),
        volume=VolumeSettings(volume_update="wiener", padding=2, first_band=4, encoding_band=11),
        schedule=ScheduleSettings(
            epochs=44, decoding_epochs=20, switch="automatic", batch_size=500, pose_update="gauss-newton", pose_steps=3
        ),
        posterior=PosteriorSettings(posterior_sample=True, teaching=0.3, search_at_switch=True, mates=True),
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
