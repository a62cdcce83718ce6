"""TODO: the room identity."""
