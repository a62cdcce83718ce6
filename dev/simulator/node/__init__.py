"""The node agent of the simulator: AMD's device plugin and node labeller in one, for GPUs that are files."""
