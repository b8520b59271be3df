"""What snapshots, history and results tell of several classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from napari_cryospin.engine.class_matching import MatchedClasses, alike_classes
from napari_cryospin.engine.fit import Fit
from napari_cryospin.runs.particle_record import ParticleRecord
from napari_cryospin.runs.results import Results


def class_arrays(fits: Sequence[Fit], numbers: Sequence[np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Return class and class probabilities of all particles; nothing with one class.

    Parameters
    ----------
    fits : sequence of Fit
    numbers : sequence of ndarray, optional
        `(classes,)` of each fit: number, from 0, that its classes are to have. Default: that which they have.
    """
    found = [fit.particles.class_probability.cpu().numpy() for fit in fits]
    numbers = [np.arange(each.shape[1]) for each in found] if numbers is None else numbers
    count = 1 + max(int(each.max()) for each in numbers)
    if count == 1:
        return {}
    probability = [np.zeros((len(each), count), np.float32) for each in found]
    for mine, each, places in zip(probability, found, numbers, strict=True):
        mine[:, places] = each
    classes = [places[fit.particles.classes.cpu().numpy()] for fit, places in zip(fits, numbers, strict=True)]
    return {
        "class_number": 1 + np.concatenate(classes).astype(np.int16),
        "class_probability": np.concatenate(probability),
    }


def with_classes(record: ParticleRecord, classes: Sequence[Results], matched: MatchedClasses) -> Results:
    """Make the results of a run of those of its classes; what a run has once is that of the largest class.

    Parameters
    ----------
    record : ParticleRecord
        Record of all particles, whose poses are in the frames of the half sets.
    classes : sequence of Results
        Results of each class, with the particles that are in it.
    matched : MatchedClasses
    """
    sizes = [len(one.particles) for one in classes]
    largest = int(np.argmax(sizes))
    rows = np.concatenate([one.particles.rows for one in classes])
    order = np.argsort(rows)
    known = order[np.searchsorted(rows, record.rows, sorter=order).clip(max=len(rows) - 1)]
    seen = rows[known] == record.rows
    rotations, shifts = (
        np.concatenate([getattr(one.particles, name) for one in classes])[known] for name in ("rotations", "shifts")
    )
    particles = dataclasses.replace(record, rotations=rotations, shifts=shifts).select(seen)
    notes = (*_notes(sizes, largest, matched), *classes[largest].notes)
    return dataclasses.replace(classes[largest], particles=particles, classes=tuple(classes), notes=notes)


def _notes(sizes: list[int], largest: int, matched: MatchedClasses) -> list[str]:
    total = sum(sizes)
    shares = ", ".join(f"class {k + 1} {100 * size / total:.0f} %" for k, size in enumerate(sizes))
    notes = [f"{len(sizes)} classes ({shares}): map, half maps and figures are those of class {largest + 1}"]
    if len(matched.numbers) == 2:
        alone = [k + 1 for k, views in enumerate(matched.views) if len(views) == 1]
        notes += [f"class {k} was found in one of the half sets only: it has no half maps" for k in alone]
    # A class that one half set alone has is compared with no other.
    first = {k + 1: views[0] for k, views in enumerate(matched.views) if len(views) == len(matched.numbers)}
    numbers = list(first)
    notes += [alike_note(numbers[i], numbers[j]) for i, j in alike_classes(list(first.values()))]
    return notes


def alike_note(first: int, second: int) -> str:
    """Say that two classes, from 1, look alike."""
    return f"classes {first} and {second} look alike: their maps differ no more than by noise; merge them"


def in_classes(fits: Sequence[Fit], views: Sequence[Fit]) -> np.ndarray:
    """Return whether each particle of the fits is in the class that the views show, `(n,)`; of no views: True."""
    masks: list[np.ndarray] = []
    for fit in fits:
        numbers = [view.number for view in views if view.particles is fit.particles]
        classes = fit.particles.classes.cpu().numpy()
        everyone = numbers == [None]
        masks.append(np.array([everyone or number in numbers for number in classes.tolist()], dtype=bool))
    return np.concatenate(masks)
