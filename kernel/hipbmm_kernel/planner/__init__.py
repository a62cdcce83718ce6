"""TODO: the room planner."""
