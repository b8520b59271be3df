"""The panel of one particle's pose posterior."""
