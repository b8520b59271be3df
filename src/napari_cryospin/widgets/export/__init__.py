"""The panel that exports results and opens them in ChimeraX."""
