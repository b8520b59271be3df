"""The models that are learned (volumes and encoder), and the forward model."""
