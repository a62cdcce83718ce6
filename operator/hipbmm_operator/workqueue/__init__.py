"""TODO: the room workqueue."""
