"""The checks before a run: whether it is possible, and the contrast of the images."""
