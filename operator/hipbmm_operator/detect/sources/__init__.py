"""TODO: the room sources."""
