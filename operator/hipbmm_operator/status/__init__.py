"""The status of a resource: pure functions of what it was, what is there, what was planned and what went wrong."""
