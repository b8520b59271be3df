"""Is a run possible? The card before a run, and the contrast of the images."""
