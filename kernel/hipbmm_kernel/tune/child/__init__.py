"""TODO: the room child."""
