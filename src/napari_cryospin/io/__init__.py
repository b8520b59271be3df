"""Files that are read and written: one module for each format, with its reader and its writer."""
