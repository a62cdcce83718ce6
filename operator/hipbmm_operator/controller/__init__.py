"""TODO: the room controller."""
