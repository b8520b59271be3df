"""The loop that drives a run, with the publisher of its state and the writer of its results."""
