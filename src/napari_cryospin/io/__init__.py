"""The readers and writers of file formats. Each format has one module, with its reader and its writer together."""
