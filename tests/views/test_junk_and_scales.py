"""Which images show the particle, and how strong its signal is: histograms, worst images, means of groups."""

import dataclasses

import numpy as np
import pytest

from napari_cryospin.particles import Picks
from napari_cryospin.views.junk_and_scales import belonging_of, scales_of
from support.records import particle_record

ROWS = np.array([3, 0, 5, 1])
"""Rows of the input that the run used."""
VALUES = np.array([0.9, 0.05, 1.0, 0.5], np.float32)


@pytest.fixture
def particles(make_phantom, simulate):
    return simulate(make_phantom(16), 6, seed=0).particles


def test_belonging_is_counted_and_the_worst_come_first():
    found = belonging_of(particle_record(4, rows=ROWS, belongs=VALUES))
    assert found.share == pytest.approx(VALUES.mean())
    assert found.worst().tolist() == [0, 1, 3, 5]
    assert found.worst(2).tolist() == [0, 1]
    assert [found.at_or_above(threshold) for threshold in (0, 0.5, 0.51, 1)] == [4, 3, 2, 1]
    counts, edges = found.histogram.counts, found.histogram.edges
    assert (edges[0], edges[-1], counts.sum()) == (0, 1, 4)
    assert counts[0] == 0
    assert counts[-1] == 1
    assert counts[edges[:-1] >= 0.5].sum() == found.at_or_above(0.5)


def test_scales_have_means_by_micrograph_or_else_by_optics_group(particles):
    record = particle_record(4, rows=ROWS, scale=[1.0, 0.5, 1.5, 1.0])
    whole = scales_of(record, lambda: dataclasses.replace(particles, picks=None))
    assert (whole.kind, whole.groups, whole.means.tolist()) == ("", (), [])
    assert whole.histogram.counts.sum() == 4

    groups = dataclasses.replace(particles, picks=None, optics_groups=np.array([0, 0, 0, 1, 1, 1], np.int32))
    found = scales_of(record, lambda: groups)
    assert (found.kind, found.groups) == ("optics group", ("optics group 1", "optics group 2"))
    assert found.means.tolist() == [0.75, 1.25]  # rows 0 and 1, rows 3 and 5

    index = np.array([0, 0, 1, 2, 2, 2], np.int32)  # the run used no particle of the second
    picks = Picks(micrographs=("a.mrc", "b.mrc", "c.mrc"), micrograph_index=index, coordinates=None, sizes=None)
    found = scales_of(record, lambda: dataclasses.replace(groups, picks=picks))
    assert (found.kind, found.groups) == ("micrograph", ("a.mrc", "c.mrc"))
    assert found.means.tolist() == [0.75, 1.25]
    assert found.counts.tolist() == [2, 2]


def test_what_a_run_did_not_estimate_is_said():
    with pytest.raises(ValueError, match="did not estimate which images"):
        belonging_of(particle_record(4))
    with pytest.raises(ValueError, match="did not estimate the scale"):
        scales_of(particle_record(4), lambda: pytest.fail("the input is not needed"))
