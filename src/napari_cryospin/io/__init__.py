"""Which file? One format a module, reader and writer together."""
