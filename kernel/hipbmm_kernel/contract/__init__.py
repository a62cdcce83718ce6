"""TODO: the room contract."""
