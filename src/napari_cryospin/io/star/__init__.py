"""The STAR files of RELION: text, tables, optics groups, particles."""
