"""The path through a reconstruction: its steps, what comes next, and where a user begins."""
