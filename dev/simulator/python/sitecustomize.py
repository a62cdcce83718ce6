# ruff: noqa: INP001 - Python finds this file by its place on the path, not in a package
"""Found by Python at start-up when this directory is on PYTHONPATH: makes `import torch` see the simulated GPUs."""

import aiter_simulator.hook  # noqa: F401 - installs itself
