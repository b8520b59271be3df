"""Simulated particles with known poses, in memory and as files."""
