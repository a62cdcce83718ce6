"""Stand-in of vLLM's server for machines without an AMD GPU (see dev/simulator/README.md)."""

from importlib.metadata import version as _version

__version__ = _version("vllm")
