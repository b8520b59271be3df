"""The paper's tables and figures, with every method on the same particles."""
