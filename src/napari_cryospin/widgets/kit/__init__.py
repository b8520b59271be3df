"""The parts that all panels are made of: plots, forms, worker threads, colours."""
