"""TODO: the room quantisation."""
