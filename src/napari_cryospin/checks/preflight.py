"""The pre-flight card: the contents of a particle set, the memory that a run will take, and its problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_cryospin.advice import Advice
from napari_cryospin.checks.contrast import Contrast, judge_contrast
from napari_cryospin.checks.image_survey import ImageSurvey, survey_images
from napari_cryospin.checks.mask_room import tight_mask_notes
from napari_cryospin.engine.bad_images import bad_images_message, left_out_note
from napari_cryospin.engine.defaults import working_box
from napari_cryospin.engine.memory import data_memory, run_memory
from napari_cryospin.engine.reference_file import read_references
from napari_cryospin.engine.related_particles import repeated_images, separated_groups
from napari_cryospin.engine.resolutions import BandLimits, resolution_problems
from napari_cryospin.io.pose_fields import lacking_poses
from napari_cryospin.listing import first_of, first_paths
from napari_cryospin.methods import DESCRIPTIONS
from napari_cryospin.particles import Particles
from napari_cryospin.settings import Settings

FEWEST_PARTICLES = 500
"""Number of particles below which the card warns: the smallest measured sets that found their map have 576
(docs/benchmarks.md, ab initio: quick preset)."""


@dataclass(frozen=True, kw_only=True)
class PreflightCard:
    """The card that `inspect` prints, and that a window shows before a run."""

    source: str
    """The particle file."""
    count: int
    """Number of particles in the file."""
    used: int
    """Number of particles that a run with these settings uses."""
    boxes: tuple[int, ...]
    """Boxes of the images, one for each pair of box and pixel size that occurs, pixels; 0: not known."""
    pixel_sizes: tuple[float, ...]
    """Pixel sizes, one for each of `boxes`, A."""
    working_box: int
    """Working box, pixels; 0: not known."""
    working_pixel_size: float
    """Pixel size at the working box, A; 0: not known."""
    bands: str
    """Bands that a run compares, in shells and A; empty: not known."""
    optics_groups: int
    """Number of optics groups of the particles."""
    ctf: str
    """Description of the CTF."""
    poses: str
    """Description of poses and half sets."""
    survey: ImageSurvey | None
    """What a look at the images found; None: none could be read."""
    reference: str
    """Map that the run starts from; empty: none."""
    contrast: Contrast | None
    """Contrast of the images; None: it was not judged, because stacks are missing or an image cannot be used."""
    memory: float
    """GiB that prepared images and volume will take."""
    memory_in_all: float
    """GiB that a run will take: `memory`, the program, and the work on a batch."""
    problems: tuple[str, ...]
    """Reasons why a run is impossible; empty: it is possible. An `Advice` where an option would help, as in `notes`."""
    notes: tuple[str, ...]
    """Remarks for the user."""

    def __str__(self) -> str:
        return self.text()

    def require_possible(self, told: Callable[[str], str] = str) -> None:
        """Refuse a run that is impossible; `told` as in `text`.

        Raises
        ------
        ValueError
            A run is impossible; names every reason.
        """
        if self.problems:
            raise ValueError(f"{self.source}: " + "; ".join(map(told, self.problems)))

    def text(self, told: Callable[[str], str] = str) -> str:
        """Return the card as lines of text.

        Parameters
        ----------
        told
            Function that returns the text of a problem or of a note, in which the options that would help have their
            names in the present interface.
        """
        boxes = first_of(
            [f"{box or 'unknown'} px at {size:.4g} A" for box, size in zip(self.boxes, self.pixel_sizes, strict=True)]
        )
        particles = f"{self.count:,}" + (f", {self.used:,} used" if self.used < self.count else "")
        rows = [
            ("file", self.source),
            ("particles", particles),
            ("box", boxes),
            (
                "working box",
                f"{self.working_box} px at {self.working_pixel_size:.4g} A" if self.working_box else "unknown",
            ),
            *([("bands", self.bands)] if self.bands else []),
            ("optics groups", str(self.optics_groups)),
            ("CTF", self.ctf),
            ("poses", self.poses),
            ("images", str(self.survey) if self.survey else "not looked at"),
            ("contrast", str(self.contrast) if self.contrast else "not judged"),
            *([("reference", self.reference)] if self.reference else []),
            ("memory", f"about {_size(self.memory_in_all)}; prepared images and volume {_size(self.memory)} of it"),
            *(("note", told(note)) for note in self.notes),
            *(("PROBLEM", told(problem)) for problem in self.problems),
        ]
        return "\n".join(f"{name + ':':<15}{text}" for name, text in rows)


def preflight(particles: Particles, settings: Settings, survey: ImageSurvey | None = None) -> PreflightCard:
    """Judge whether a run of these particles with these settings is possible.

    Parameters
    ----------
    particles
        Particles, whose stacks may be missing; the card then lists that as a problem.
    settings
        Settings of the run.
    survey
        What a look at these images found, if they have been looked at already.
    """
    kinds = np.unique(np.stack([particles.box_sizes, particles.pixel_sizes], axis=-1), axis=0)
    box, side = particles.common_frame()
    wanted = working_box(settings.preparation, box)
    missing = _stack_problems(particles)
    if survey is None and not missing:
        survey = survey_images(particles, settings.preparation)
    faults = survey.faults if survey is not None else {}
    usable = len(particles) - len(faults) * settings.preparation.leave_out_bad
    used = min(usable, settings.preparation.subset or usable)
    problems: list[str] = list(missing)
    if box and wanted > box:
        found = f"box {wanted} px is larger than the particles' {box} px"
        problems.append(Advice(f"{found}; expected at most that", "box"))
    if settings.preparation.half_sets and used < 2:
        problems.append(f"half sets of {used} particle; expected at least 2")
    if faults and not (settings.preparation.leave_out_bad and used):
        problems.append(bad_images_message(particles, faults))
    problems += _radii(settings, side)
    problems += _lacking_poses(particles, settings)
    wrong = resolution_problems(settings.volume, wanted, side) if box else []
    problems += wrong
    reference, complaints = _reference(particles, settings)
    problems += complaints
    contrast = None
    if len(faults) < len(particles) and not missing:
        try:
            contrast = judge_contrast(particles, -1.0 if settings.preparation.invert_contrast else 1.0)
        except ValueError as error:
            problems.append(str(error))
    return PreflightCard(
        source=str(particles.source),
        count=len(particles),
        used=used,
        boxes=tuple(int(value) for value in kinds[:, 0]),
        pixel_sizes=tuple(float(value) for value in kinds[:, 1]),
        working_box=wanted if box else 0,
        working_pixel_size=side / wanted if box else 0.0,
        bands=BandLimits.of(settings.volume, wanted, side).text(side) if box and not wrong else "",
        optics_groups=len(np.unique(particles.optics_groups)),
        ctf=_ctf(particles),
        poses=_poses(particles),
        survey=survey,
        reference=reference,
        contrast=contrast,
        memory=data_memory(used, wanted, settings) if box else 0.0,
        memory_in_all=run_memory(used, wanted, settings),
        problems=tuple(problems),
        notes=(
            *_notes(particles, used, settings, contrast, kinds),
            *(
                tight_mask_notes(particles.ctf, settings.preparation.mask_radius, side, 2 * side / wanted)
                if box
                else ()
            ),
            *([left_out_note(particles, faults)] if faults and settings.preparation.leave_out_bad else ()),
            *(survey.notes if survey is not None else ()),
        ),
    )


def _lacking_poses(particles: Particles, settings: Settings) -> list[str]:
    """Return what the file lacks of the poses that the method takes from it."""
    if not DESCRIPTIONS[settings.method].takes_poses:
        return []
    lacking = lacking_poses(particles, shifts=settings.encoder.shifts)
    return [] if lacking is None else [lacking]


def _radii(settings: Settings, side: float) -> list[str]:
    """Return the problems with lengths in the settings, for a box of this side (A; 0: not known)."""
    mask, shift = settings.preparation.mask_radius, settings.encoder.max_shift
    problems: list[str] = []
    if side and mask is not None and not side / 20 <= mask <= side / 2:
        expected = f"{side / 20:.0f} to {side / 2:.0f} A, half of the box"
        problems.append(Advice(f"mask radius {mask:g} A; expected {expected}: a radius, no diameter", "mask_radius"))
    if side and settings.encoder.shifts and shift is not None and shift > side / 2:
        expected = f"at most half of the box, {side / 2:.0f} A"
        problems.append(Advice(f"largest shift {shift:g} A; expected {expected}", "max_shift"))
    return problems


def _reference(particles: Particles, settings: Settings) -> tuple[str, list[str]]:
    """Describe the maps that a run starts from ("": none), and list what is wrong with them."""
    try:
        return "; ".join(str(record) for _, record in read_references(particles, settings)), []
    except (ValueError, FileNotFoundError) as error:
        names = "; ".join(map(str, settings.start.reference_paths))
        return names, [error.args[0] if isinstance(error, ValueError) else str(error)]


def _teaching_notes(settings: Settings) -> list[str]:
    """Note that heads are to be taught, where no pose is drawn that they could learn from."""
    posterior, learns = settings.posterior, DESCRIPTIONS[settings.method].uses_encoder
    if not (learns and posterior.teaching) or posterior.posterior_sample:
        return []
    found = f"teaching {posterior.teaching:g} has no effect: no pose is drawn from the posterior"
    return [Advice(f"{found}, which the heads could learn from", "posterior_sample")]


def _size(gib: float) -> str:
    return f"{gib:.1f} GiB" if gib >= 1 else f"{gib * 1024:.0f} MiB"


def missing_stacks(particles: Particles) -> list[str]:
    """List the stacks that are not there, as the particles' file names them."""
    return [str(stack) for stack in particles.stacks if not stack.is_file()]


def _stack_problems(particles: Particles) -> list[str]:
    missing = missing_stacks(particles)
    if not missing:
        return []
    found = f"{len(missing):,} of {len(particles.stacks):,} stacks missing"
    return [Advice(found, "data_dir", details=f": {first_paths(missing)}")]


def _span(values: np.ndarray, digits: int = 0) -> str:
    """Return the text of a range of values, or of the one value that all of them have."""
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _ctf(particles: Particles) -> str:
    if particles.ctf is None:
        return "off"
    ctf = particles.ctf
    text = f"defocus {_span((ctf.defocus_u + ctf.defocus_v) / 2)} A, {_span(ctf.voltage)} kV, "
    text += f"Cs {_span(ctf.spherical_aberration, 2)} mm, amplitude contrast {_span(ctf.amplitude_contrast, 2)}"
    if ctf.phase_shift.any():
        text += f", phase shift {_span(ctf.phase_shift)} degrees"
    if particles.aberrations is not None:
        text += f"; aberrations: {particles.aberrations}"
    if particles.ctf_premultiplied:
        return text + "; images are premultiplied"
    return text + "; phases are flipped" if particles.phase_flipped else text


def _poses(particles: Particles) -> str:
    parts = ["none" if particles.rotations is None else "rotations"]
    if particles.shifts is not None:
        parts.append(f"shifts of {np.hypot(*particles.shifts.T).mean():.1f} A on average")
    if particles.half_sets is not None:
        parts.append(f"half sets of {(particles.half_sets == 1).sum():,} and {(particles.half_sets == 2).sum():,}")
    return ", ".join(parts)


def _notes(
    particles: Particles, used: int, settings: Settings, contrast: Contrast | None, kinds: np.ndarray
) -> list[str]:
    notes, subset = [*particles.notes, *_teaching_notes(settings)], settings.preparation.subset
    if used < FEWEST_PARTICLES:
        found = f"only {used} particle{'s' if used > 1 else ''}"
        notes.append(f"{found}: a map of fewer than {FEWEST_PARTICLES} is not to be trusted")
    notes += _relatives(particles)
    if (subset or 0) > len(particles):
        notes.append(f"subset of {subset:,}: there are {len(particles):,} particles; all of them are used")
    if (particles.contrast < 0).any():
        notes.append(
            f"the file says that protein is dark in {(particles.contrast < 0).sum():,} images: these are inverted"
        )
    if contrast is not None and contrast.verdict == "black":
        notes.append(Advice("the protein looks darker than its surroundings; a run wants it bright", "invert_contrast"))
    if len(kinds) > 1:
        brought = "boxes or pixel sizes differ: all images are brought to the working box"
        frames = first_of(_frames(particles, kinds), separator="; ")
        notes.append(f"{brought}; {frames}" if frames else brought)
    return notes


def _relatives(particles: Particles) -> list[str]:
    """Note images that occur in several rows, and related particles that the file's own half sets separate."""
    notes = [repeated] if (repeated := repeated_images(particles)) else []
    if separated := separated_groups(particles):
        notes.append(
            f"the half sets that the file names separate {separated:,} groups of related particles (rows of one image, "
            "segments of one tube): their FSC promises too much; without that column a run draws better ones"
        )
    return notes


def _frames(particles: Particles, kinds: np.ndarray) -> list[str]:
    """Return texts about the images with another field of view, which are padded or cropped.

    `kinds` holds the pairs of box (pixels) and pixel size (A) that occur, `(k, 2)`.
    """
    side, texts = particles.common_frame()[1], []
    for box, pixel_size in kinds:
        own = box * pixel_size
        if abs(own - side) > pixel_size:
            count = ((particles.box_sizes == box) & (particles.pixel_sizes == pixel_size)).sum()
            done = "padded" if own < side else "cropped"
            texts.append(f"{count:,} of {box:.0f} px at {pixel_size:.4g} A, {own:.0f} A wide, {done} to {side:.0f} A")
    return texts
