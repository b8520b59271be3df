"""RELION's STAR files: text, tables, optics groups, particles."""
