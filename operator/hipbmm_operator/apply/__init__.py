"""TODO: the room apply."""
