"""TODO: the room pods."""
