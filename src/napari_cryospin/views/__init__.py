"""What can be asked of a run? Everything, live or finished, without Qt."""
