"""STAR files of RELION: their text, tables, optics groups and particles."""
