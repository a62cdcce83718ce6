"""TODO: the room observe."""
