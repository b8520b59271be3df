"""The geometry of poses: rotations, angles, grids, HEALPix, hand, pictures of the sphere."""
