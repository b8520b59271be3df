"""The path of a particle's pose, of a run that goes on and of one that was resumed from an earlier checkpoint."""

import numpy as np
import pytest

from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import Settings
from napari_cryospin.views.moment import Moment
from napari_cryospin.views.pose_path import PathBook
from napari_cryospin.views.posterior.run_posteriors import RunPosteriors
from support.records import epoch_record, particle_record

ALONG_X = np.array([[[0, 1, 0], [0, 0, 1], [1, 0, 0]]])
"""A rotation whose view direction is x; that of `particle_record` is z."""


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", RunInput(particles=tmp_path / "p.star"), Settings())


def test_epochs_follow_each_other_and_tell_the_switch(folder):
    book = PathBook(folder)
    assert len(book.of(0).epochs) == 0
    folder.write_history(epoch_record(1))
    assert book.of(0).epochs.tolist() == [1]
    folder.write_history(epoch_record(2, particle_record(rotations=ALONG_X), stage="auto-decoding"))
    path = book.of(0)
    assert path.epochs.tolist() == [1, 2]
    np.testing.assert_array_equal(path.directions, [[0, 0, 1], [1, 0, 0]])
    assert path.switch == 0


def test_epochs_of_a_resumed_run_are_read_anew_and_those_it_deleted_are_gone(folder):
    book, posteriors = PathBook(folder), RunPosteriors(folder)
    for epoch in (1, 2, 3):
        folder.write_history(epoch_record(epoch, particle_record(entropy=[1.0])))
    assert book.of(0).epochs.tolist() == [1, 2, 3]
    assert posteriors.entropies(Moment(2))[1] == [1.0]
    folder.rewind(step=0, epoch=1)
    folder.write_history(epoch_record(2, particle_record(rotations=ALONG_X, entropy=[2.0])))
    path = book.of(0)
    assert path.epochs.tolist() == [1, 2]
    np.testing.assert_array_equal(path.directions[1], [1, 0, 0])
    assert posteriors.entropies(Moment(2))[1] == [2.0]
