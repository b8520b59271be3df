"""The pictures of the sphere of view directions: globe, flat map, zoom, small maps."""
