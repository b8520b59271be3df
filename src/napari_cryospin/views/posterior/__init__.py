"""The posterior of one particle's pose under a run's map."""
