"""The live map in napari's canvas, and the panel with its controls."""
