"""Files of cryoSPARC: tables of particles (.cs) and result groups (.csg)."""
