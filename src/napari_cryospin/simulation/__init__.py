"""The simulation of particles with known poses, in memory and as files."""
