"""What would images look like? Particles with known poses, in memory and as files."""
