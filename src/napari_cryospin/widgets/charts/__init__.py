"""Panels of curves and bars: convergence, heads, orientations."""
