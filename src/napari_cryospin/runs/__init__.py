"""Where does a run live? Its folder, its messages and records, and who drives or watches it."""
