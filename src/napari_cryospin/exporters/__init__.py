"""How do other programs read it? One module and one row of a table for each of them."""
