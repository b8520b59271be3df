"""The loop that drives a run, what it publishes, and its results as files."""
