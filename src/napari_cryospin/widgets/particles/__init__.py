"""The panel that opens particles and shows them before a run."""
