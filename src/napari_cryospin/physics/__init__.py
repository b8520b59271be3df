"""Formation of images: functions of tensors, without state, that read no file."""
