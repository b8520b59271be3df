"""How is it fitted? Methods, proposers, steps of volume and poses, the switch, the posterior."""
