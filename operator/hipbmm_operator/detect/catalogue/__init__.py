"""TODO: the room catalogue."""
