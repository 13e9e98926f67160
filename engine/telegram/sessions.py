"""Bodies of `engine.methods.sessions`."""
