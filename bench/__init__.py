"""Figures with a range file: speed, memory and API load, as ratios or counts where a machine is shared."""
