"""One file a command: what it does from settings to files, top to bottom."""
