"""The panel of a run's result."""
