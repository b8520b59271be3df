"""The state that the panels of one viewer share: the run, the chosen particle, the docks."""
