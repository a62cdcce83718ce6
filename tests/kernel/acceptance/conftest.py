"""The simulator computes with torch: what needs it is collected only where torch is installed."""

import importlib.util

if importlib.util.find_spec("torch") is None:
    collect_ignore = ["test_simulated.py"]
