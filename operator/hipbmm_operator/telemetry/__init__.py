"""TODO: the room telemetry."""
