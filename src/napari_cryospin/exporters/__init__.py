"""Export of a run's results for other programs. Each program has a row in the table of exporters."""
