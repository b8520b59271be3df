"""The docks in napari. Only this room imports Qt, napari and vispy."""
