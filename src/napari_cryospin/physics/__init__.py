"""How is an image formed? Functions of tensors, without state, that read no file."""
