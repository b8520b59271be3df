"""The particles that are selected: figures, images, and the map that they make alone."""
