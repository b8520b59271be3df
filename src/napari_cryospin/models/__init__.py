"""What is learned? Volumes, the encoder, and the one forward model."""
