"""How does it lie? Rotations, angles, grids, HEALPix, hand, pictures of the sphere."""
