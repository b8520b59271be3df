"""The settings classes of a run.

The text beneath a field is its help. Its annotation says which type, range and unit it has.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from annotated_types import Interval, MinLen, MultipleOf
from pydantic import StrictBool, StrictFloat, StrictInt, StrictStr

from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.settings.fields import FilePath, OneOf, Spelling, Unit
from napari_cryospin.settings.gate import from_json, settings_class
from napari_cryospin.symmetry_names import GROUP_NAMES, canonical_name

SHELLS_FOR = {"first_resolution": "first_band", "encoding_resolution": "encoding_band"}
"""Resolution in the settings of the volume -> number of shells that says the same."""
Preset = Literal[
    "quick",
    "paper-synthetic",
    "paper-experimental",
    "paper-cpu",
    "cryoposenet",
    "cryoai",
    "cryoai-explicit",
    "hierarchical",
    "known-poses",
]


@settings_class
class PreparationSettings:
    """From the particles' files to the images that inference sees."""

    box: Annotated[StrictInt, Interval(ge=16, le=1024), MultipleOf(2), Unit("px")] | None = None
    """Working box, even; images are Fourier-cropped to it. Default: the input's box, at most 128."""
    mask_radius: Annotated[StrictFloat, Interval(ge=1, le=1e5), Unit("A")] | None = None
    """Radius (not diameter) of the soft circular mask. Default: 0.46 of the box."""
    subset: Annotated[StrictInt, Interval(ge=1, le=10**9)] | None = None
    """Use this many particles, drawn at random. Default: all."""
    half_sets: StrictBool = False
    """Reconstruct two halves of the particles independently, interleaved."""
    invert_contrast: StrictBool = False
    """Multiply the images by -1: for dark protein on a light background."""
    leave_out_bad: StrictBool = False
    """Leave out images that cannot be used (constant, or with values that are no numbers); else they are refused."""
    noise: Literal["white", "coloured"] = "coloured"
    """Noise variance: one for all frequencies, or one a shell."""
    cache: Annotated[StrictFloat, Interval(ge=0, le=1e4), Unit("GiB")] = 4.0
    """Memory for prepared images; where they do not all fit, they are prepared anew in every epoch."""


@settings_class
class StartSettings:
    """What the volume starts from: random values, or a map from elsewhere."""

    reference: Annotated[StrictStr | Annotated[tuple[StrictStr, ...], MinLen(1)], FilePath()] | None = None
    """Map (.mrc) to start from, of any box and pixel size, or one map a class. Default: none, the start is random (ab
    initio)."""
    reference_resolution: Annotated[StrictFloat, Interval(ge=1, le=1000), Unit("A")] = 30.0
    """Resolution to which the reference is low-passed (RELION: --ini_high)."""

    @property
    def reference_paths(self) -> tuple[Path, ...]:
        """Absolute paths of the references: of none, of one, or of one a class."""
        names = (self.reference,) if isinstance(self.reference, str) else self.reference or ()
        return tuple(Path(name).expanduser().absolute() for name in names)


@settings_class
class EncoderSettings:
    """The network that proposes poses (paper, section 4.1)."""

    heads: Annotated[StrictInt, Interval(ge=1, le=64)] = 7
    """Pose candidates an image, each from a head of its own (M)."""
    trunk: Literal["small", "vgg16"] = "small"
    """Convolutional layers before the heads: the paper's VGG16 layout, or a small one for CPUs."""
    encoder_box: Annotated[StrictInt, Interval(ge=16, le=256), Unit("px")] = 32
    """Box of the images that the encoder sees (the working box where that is smaller)."""
    encoder_input: Literal["raw", "phase-flipped"] = "raw"
    """The encoder sees the images as they are (the paper), or with the phases of their CTF flipped."""
    encoder_batch: Annotated[StrictInt, Interval(ge=1, le=65536)] = 64
    """Images a step of the encoder, where that is fewer than a batch."""
    half_turned: StrictBool = False
    """Each image is also seen turned by half a turn in its plane, and twice as many poses compete (cryoAI)."""
    encoder_learning_rate: Annotated[StrictFloat, Interval(ge=0, le=1)] = 1e-3
    """Adam step of the encoder."""
    shifts: StrictBool = True
    """Estimate the particles' in-plane shifts as well."""
    max_shift: Annotated[StrictFloat, Interval(ge=0, le=1e4), Unit("A")] | None = None
    """Largest shift looked for, along x and y. Default: 0.16 of the box."""


@settings_class
class VolumeSettings:
    """The explicit Hartley volume (paper, section 4.3), and others in its place."""

    volume_update: Literal["adam", "implicit", "wiener"] = "adam"
    """Gradient steps on mantissa and exponent (the paper), on a network that gives the transform (implicit: cryoAI), or
    a running Wiener average of the assigned images."""
    exponent: StrictBool = True
    """With adam, the volume is a mantissa times the exponential of an exponent (Eq. 8); else a plain lattice."""
    volume_learning_rate: Annotated[StrictFloat, Interval(ge=0, le=1)] = 0.05
    """Adam step of the volume while auto-encoding."""
    volume_learning_rate_after_switch: Annotated[StrictFloat, Interval(ge=0, le=1)] = 0.02
    """Adam step of the volume while auto-decoding."""
    assignments: Literal["hard", "soft"] = "hard"
    """Before the switch, add each image to the Wiener average at one pose, or at all poses of the grid by its posterior
    (not in the paper)."""
    scales: Literal["none", "group", "particle"] = "none"
    """Scale of the signal in the images: the same for all (the paper), one a micrograph, or one a particle."""
    symmetry: Annotated[StrictStr, Spelling(canonical_name, GROUP_NAMES)] = "C1"
    """Point group of the molecule, with RELION's axes: C1 (none), Cn, Dn, T, O, I."""
    symmetry_later: StrictBool = True
    """Begin without the symmetry and impose it once the map shows it; if it does not in time, begin anew with it. It
    has an effect only with a posterior sample, and without reference or known poses (RELION: run in C1 and apply
    symmetry later)."""
    classes: Annotated[StrictInt, Interval(ge=1, le=8)] = 1
    """Maps that the particles are sorted into, from the switch on (not in the paper)."""
    padding: Annotated[StrictInt, Interval(ge=1, le=2)] = 1
    """Oversampling of the Fourier lattice (the paper: 1)."""
    loss: Literal["squared", "absolute"] = "squared"
    """Squared error (Eq. 3) or mean absolute difference (public code)."""
    first_band: Annotated[StrictInt, Interval(ge=2, le=512), Unit("shells")] | None = None
    """Fourier shells seen at first; the band grows from there. Default: all from the start (the paper)."""
    encoding_band: Annotated[StrictInt, Interval(ge=2, le=512), Unit("shells")] | None = None
    """Fourier shells up to which the band grows before the switch. Default: all."""
    first_resolution: Annotated[StrictFloat, Interval(ge=0.1, le=1e4), Unit("A")] | None = None
    """Resolution of the shells seen at first: in place of `first_band`."""
    encoding_resolution: Annotated[StrictFloat, Interval(ge=0.1, le=1e4), Unit("A")] | None = None
    """Resolution up to which the band grows before the switch, and no further: in place of `encoding_band`."""
    last_resolution: Annotated[StrictFloat, Interval(ge=0.1, le=1e4), Unit("A")] | None = None
    """Finest resolution that is looked at, in both stages. Default: that of all shells of the working box."""
    growth_steps: Annotated[StrictInt, Interval(ge=1, le=10**7)] = 60
    """Steps for the band to grow in, from `first_band` to `encoding_band`."""
    grow_further: StrictBool = False
    """Grow beyond `encoding_band` while poses stay uncertain and two folds agree in finer shells (not in the paper)."""


@settings_class
class ScheduleSettings:
    """How long, in which steps, and when to switch."""

    epochs: Annotated[StrictInt, Interval(ge=1, le=100000)] = 20
    """Passes over the particles in all, both stages together."""
    decoding_epochs: Annotated[StrictInt, Interval(ge=1, le=100000)] | None = None
    """Epochs after the switch at most, no more than half of `epochs`: an automatic switch leaves time for these, and a
    late switch by hand is followed by as many. Default: up to `epochs`, or half of them after a switch at their end."""
    switch: Literal["by-hand", "automatic"] | Annotated[StrictInt, Interval(ge=1, le=100000)] = 7
    """Switch to auto-decoding: by hand, automatic, or after so many epochs. By hand, a run that was not switched stops
    at the end of `epochs`, and going on with it makes the switch."""
    batch_size: Annotated[StrictInt, Interval(ge=1, le=65536)] = 64
    """Images a step."""
    pose_update: Literal["adam", "gauss-newton"] = "adam"
    """Pose steps after the switch: Adam (the paper), or damped Gauss-Newton on all five parameters of a particle."""
    pose_steps: Annotated[StrictInt, Interval(ge=1, le=100)] = 5
    """Pose steps to each volume step while auto-decoding (appendix A)."""
    pose_learning_rate: Annotated[StrictFloat, Interval(ge=0, le=10)] = 0.05
    """Adam step of the poses: radian for rotations, pixels of the working box for shifts."""

    @property
    def epochs_kept(self) -> int:
        """Epochs that an automatic switch keeps for the second stage."""
        return max(1, min(self.decoding_epochs or 1, self.epochs // 2))

    def epochs_in_all(self, switched_at: int) -> int:
        """Return the number of epochs of both stages together, for a switch after so many epochs."""
        if self.decoding_epochs is not None:
            return switched_at + self.epochs_kept
        return self.epochs if switched_at < self.epochs else switched_at + max(1, self.epochs // 2)


@settings_class
class PosteriorSettings:
    """The grid posterior: as a further candidate, as the encoder's teacher, and as the search at the switch."""

    posterior_sample: StrictBool = False
    """A pose drawn from the grid posterior competes with the heads (not in the paper)."""
    teaching: Annotated[StrictFloat, Interval(ge=0, le=100)] = 0.0
    """Weight of pulling the nearest head towards the posterior sample (not in the paper)."""
    search_at_switch: StrictBool = False
    """Search the whole pose grid at the switch, and keep the pose that explains the image better."""
    junk: StrictBool = False
    """Weigh each particle by the probability that its image shows it, and not ice, a lump or two particles (not in the
    paper)."""
    mates: StrictBool = False
    """Test each particle's mates under the map's near-symmetries (not in the paper)."""


@settings_class
class MachineSettings:
    """Where it runs, and what it leaves behind."""

    device: StrictStr = "auto"
    """auto, cpu, cuda, cuda:1, mps; two with a comma between, such as cuda:0,cuda:1, for the two half sets."""
    threads: Annotated[StrictInt, Interval(ge=1, le=1024)] | None = None
    """CPU threads. Default: what torch chooses."""
    seed: Annotated[StrictInt, Interval(ge=0, le=2**31 - 1)] = 0
    """Seed of every random number in the run."""
    checkpoint_every: Annotated[StrictFloat, Interval(ge=0, le=1e6), Unit("s")] = 300.0
    """Seconds between checkpoints."""
    snapshot_every: Annotated[StrictFloat, Interval(ge=0, le=1e6), Unit("s")] = 2.0
    """Seconds between snapshots, at the least; publishing never takes more than 5 % of the time."""


@settings_class
class Settings:
    """All settings of a run."""

    preset: Preset = "paper-cpu"
    """The set of settings that the others override."""
    method: Annotated[StrictStr, OneOf(DESCRIPTIONS)] = "cryospin"
    """Way of reconstructing."""
    preparation: PreparationSettings = field(default_factory=PreparationSettings)
    start: StartSettings = field(default_factory=StartSettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    volume: VolumeSettings = field(default_factory=VolumeSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    posterior: PosteriorSettings = field(default_factory=PosteriorSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    @pydantic.model_validator(mode="after")
    def _go_together(self) -> Settings:
        if problems := list(_contradictions(self)):
            raise ValueError("\n".join(problems))
        return self

    def to_json(self) -> str:
        """Write the settings as JSON; `from_json` reads them."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read settings from `to_json`'s text. A field that is not there has its default.

        Raises
        ------
        ValueError
            The text is no JSON, or a field is unknown or wrong; names all of them.
        """
        settings: Settings = from_json(cls, text)
        return settings


def _contradictions(settings: Settings) -> Iterator[str]:
    """Say which settings, each of them admitted, do not go together."""
    yield from _contradicting_bands(settings.volume)
    volume, poses = settings.volume.volume_update, settings.schedule.pose_update
    method = DESCRIPTIONS[settings.method]
    if method.has_switch and (volume == "wiener") != (poses == "gauss-newton"):
        found = f"volume.volume_update is {volume}, schedule.pose_update {poses}"
        yield f"{found}; expected wiener with gauss-newton, or adam twice"
    if poses == "gauss-newton" and settings.volume.loss == "absolute":
        yield "volume.loss is absolute; expected squared, which gauss-newton poses are steps of"
    switch, epochs = settings.schedule.switch, settings.schedule.epochs
    if isinstance(switch, int) and switch >= epochs and method.has_switch:
        yield f"schedule.switch is {switch}; expected fewer than the {epochs} epochs in all"
    if settings.start.reference is not None and not settings.posterior.posterior_sample:
        yield "start.reference is given; expected posterior.posterior_sample with it, which draws poses under that map"
    if settings.start.reference is not None and volume == "implicit":
        yield "start.reference is given with volume_update implicit; expected an explicit volume, which can hold a map"
    maps, classes = len(settings.start.reference_paths), settings.volume.classes
    if maps > 1 and maps != classes:
        yield f"start.reference names {maps} maps, volume.classes is {classes}; expected one map, or one a class"
    if not settings.volume.exponent and volume != "adam":
        yield f"volume.exponent is false with volume_update {volume}; expected adam, whose lattice can be plain"
    if (complaint := method.complaint(settings)) is not None:
        yield complaint
    if settings.volume.assignments == "soft" and volume != "wiener":
        yield f"volume.assignments is soft with volume_update {volume}; expected wiener, to which all poses are added"
    if settings.volume.classes > 1 and not (method.has_switch and volume == "wiener"):
        found = f"volume.classes is {settings.volume.classes} with method {method.name} and volume_update {volume}"
        yield f"{found}; expected a method with a switch and wiener: classes are sorted by maps of the other fold"


def _contradicting_bands(volume: VolumeSettings) -> Iterator[str]:
    """Say which bands do not go together, as far as that does not depend on the box."""
    first, last = volume.first_band, volume.encoding_band
    if first is not None and last is not None and first > last:
        yield f"volume.first_band is {first}; expected at most encoding_band, {last} shells"
    for name, shells in SHELLS_FOR.items():
        resolution, band = getattr(volume, name), getattr(volume, shells)
        if resolution is not None and band is not None:
            yield f"volume.{name} is {resolution:g} A and {shells} {band} shells; expected only one of them"
    if volume.grow_further and volume.volume_update != "wiener":
        yield f"volume.grow_further with volume_update {volume.volume_update}; expected wiener, whose folds it compares"
    names = ("first_resolution", "encoding_resolution", "last_resolution")
    given = [(name, getattr(volume, name)) for name in names if getattr(volume, name) is not None]
    for (name, coarse), (following, fine) in itertools.pairwise(given):
        if coarse < fine:
            yield f"volume.{name} is {coarse:g}; expected at least {following}, {fine:g} A"
