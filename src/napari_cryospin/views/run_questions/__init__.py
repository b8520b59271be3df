"""What can be asked of a run, by questions; `views.run_view` puts them together."""
