"""TODO: the room rows."""
