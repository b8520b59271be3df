"""cryoSPARC's files: .cs tables and .csg groups."""
