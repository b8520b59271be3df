"""The writers of results for other programs. Each program has one module here, and one row of a table that names it."""
