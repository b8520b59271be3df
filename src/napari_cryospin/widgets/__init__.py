"""What does the user see? Qt, napari and vispy live here and nowhere else."""
