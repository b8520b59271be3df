"""The panel of one particle's posterior."""
