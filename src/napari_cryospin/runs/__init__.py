"""The folder of a run: messages and records in it, and ways to start and to watch a run through it."""
