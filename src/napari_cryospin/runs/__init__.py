"""The folder of a run, with its messages and records, and the programs that drive or watch it."""
