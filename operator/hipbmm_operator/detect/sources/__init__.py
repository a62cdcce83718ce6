"""What a Node, its labels, NFD and DRA say, each read into a small value; a field of a wrong type counts as absent."""
