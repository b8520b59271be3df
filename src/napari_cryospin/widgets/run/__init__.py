"""The panel that sets up, starts, steers and switches a run."""
