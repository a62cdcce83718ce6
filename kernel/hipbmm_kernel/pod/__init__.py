"""TODO: the room pod."""
