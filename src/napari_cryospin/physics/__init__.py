"""The formation of images, as functions of tensors. They keep no state, and read no file."""
