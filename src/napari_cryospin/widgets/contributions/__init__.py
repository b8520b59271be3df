"""The contributions that napari finds by the manifest: readers, writers, sample data."""
