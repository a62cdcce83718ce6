"""The simulator: a vLLM ROCm serving image for machines without an AMD GPU (see README.md)."""
