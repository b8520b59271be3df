"""The views of a run, live or finished: all that is known of it, without Qt."""
