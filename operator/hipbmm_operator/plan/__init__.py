"""TODO: the room plan."""
