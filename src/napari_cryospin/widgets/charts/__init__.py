"""The panels of curves and bars: convergence, heads, orientations."""
