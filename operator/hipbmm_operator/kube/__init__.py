"""TODO: the room kube."""
