"""HEALPix cells as surfaces and outlines agree with healpy; the credible region is the smallest one."""

import healpy
import numpy as np

from napari_cryospin.geometry.sphere_cells import (
    credible_cells,
    direction_of,
    graticule,
    healpix_cells,
    pixel_of,
    rot_tilt_of,
)


def test_angles_and_directions_are_inverse_and_find_the_pixel_of_the_conventions():
    vectors = np.random.default_rng(0).normal(size=(99, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(direction_of(*rot_tilt_of(vectors).T), vectors, atol=1e-12)
    assert pixel_of(direction_of(30, 50), 8) == 114
    assert healpy.ring2nest(8, 114) == 38
    np.testing.assert_array_equal(pixel_of(vectors, 8), healpy.vec2pix(8, *vectors.T))


def test_triangles_face_outwards_and_cover_every_cell_alike():
    cells = healpix_cells(4)
    corners = cells.vertices[cells.faces].astype(float)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals * corners.mean(1)).sum(-1) > 0).all()
    areas = np.bincount(cells.cell_of_vertex[cells.faces[:, 0]], np.linalg.norm(normals, axis=1) / 2)
    assert areas.min() > 0.97 * areas.max()
    np.testing.assert_array_equal(pixel_of(corners.mean(1), 4), cells.cell_of_vertex[cells.faces[:, 0]])


def test_edges_lie_between_neighbours():
    cells = healpix_cells(8)
    neighbours = healpy.get_all_neighbours(8, np.arange(768)).T
    assert all(other in neighbours[one] for one, other in cells.sides)
    assert (np.bincount(cells.sides.ravel()) == 4).all()


def test_outline_of_one_cell_is_its_boundary():
    cells, inside = healpix_cells(8), np.zeros(768, dtype=bool)
    inside[114] = True
    outline = cells.outline(inside)
    boundary = healpy.boundaries(8, 114, step=4).T
    assert outline.shape == (4, 5, 3)
    distance = np.linalg.norm(outline.reshape(-1, 1, 3) - boundary, axis=-1)
    assert distance.min(axis=1).max() < 1e-12


def test_credible_region_is_the_smallest_that_holds_the_share():
    probability = np.array([0.05, 0.5, 0.3, 0.15])
    np.testing.assert_array_equal(credible_cells(np.log(probability), 0.79), [False, True, True, False])
    np.testing.assert_array_equal(credible_cells(np.log(probability), 0.81), [False, True, True, True])
    assert credible_cells(np.log(probability).reshape(2, 2)).shape == (2, 2)


def test_graticule_lies_on_the_sphere():
    for line in graticule():
        np.testing.assert_allclose(np.linalg.norm(line, axis=1), 1)
