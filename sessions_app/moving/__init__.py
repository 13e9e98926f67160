"""Sessions on the move: into the hub from a string or a file, and out of it again."""
