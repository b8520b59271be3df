"""How sure a view is, in views and degrees: posteriors whose shape is known."""

import numpy as np
import pytest

from napari_cryospin.geometry.sphere_cells import healpix_cells
from napari_cryospin.views.posterior.answers import ZOOM_LINE, Zoom, patch_axes
from napari_cryospin.views.posterior.certainty import certainty_of

CENTRES = healpix_cells(8).centres


def normalised(values):
    return (values - np.logaddexp.reduce(values.ravel())).astype(np.float32)


def caps(*cells, degrees):
    """Equal probability within so many degrees of some cells, next to none elsewhere."""
    near = (CENTRES @ CENTRES[list(cells)].T).max(1) >= np.cos(np.radians(degrees)) - 1e-9
    return normalised(np.where(near, 0.0, -40.0))


@pytest.mark.parametrize("cells", [(100,), (100, 500), (0, 767, 384)])
@pytest.mark.parametrize("degrees", [12, 20])
def test_caps_are_counted_and_measured(cells, degrees):
    found = certainty_of(caps(*cells, degrees=degrees))
    assert found.views == len(cells)
    # 90 % of a cap has a radius smaller by the root of 0.9; cells are 7 degrees wide.
    assert found.within == pytest.approx(np.sqrt(0.9) * degrees, abs=2.0)
    assert ("likely view," in found.words) == (len(cells) == 1)


def test_cells_that_touch_are_one_view_wherever_they_lie():
    for cell in range(0, 768, 7):
        order = np.argsort(-(CENTRES @ CENTRES[cell]))
        log_posterior = np.full(768, -40.0)
        log_posterior[order[:4]] = 0
        assert certainty_of(normalised(log_posterior)).views == 1


def test_a_flat_posterior_is_one_view_as_wide_as_the_sphere():
    found = certainty_of(normalised(np.zeros(768)))
    assert (found.views, found.within > 90) == (1, True)


def test_the_zoom_tells_a_narrow_view_more_finely():
    one = np.full(768, -40.0)
    one[100] = 0
    u, v = np.meshgrid(ZOOM_LINE, ZOOM_LINE)
    width = 1.5
    zoom = Zoom(
        particle=0, log_posterior=normalised(-(u**2 + v**2) / (2 * width**2)), centre=CENTRES[100],
        axes=patch_axes(CENTRES[100]), rotation=np.eye(3), shift=np.zeros(2),
    )  # fmt: skip
    coarse, fine = certainty_of(normalised(one)), certainty_of(normalised(one), zoom)
    assert coarse.within == pytest.approx(4.1, abs=0.1)  # a cell's own size
    assert fine.within == pytest.approx(width * np.sqrt(2 * np.log(10)), abs=0.2)  # 90 % of a Gaussian in the plane
    two = caps(100, 500, degrees=5)
    assert certainty_of(two, zoom) == certainty_of(two)
