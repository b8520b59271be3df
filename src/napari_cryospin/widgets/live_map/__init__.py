"""The map as it grows, in napari's canvas and its strip."""
