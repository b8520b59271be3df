"""How does a run go on? The loop, what it publishes, and the results as files."""
