"""TODO: the room watch."""
