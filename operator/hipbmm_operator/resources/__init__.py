"""Builders of the children: pure functions from the resource to dictionaries, one kind per file."""
