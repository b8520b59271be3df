"""The files of cryoSPARC: .cs tables and .csg groups."""
