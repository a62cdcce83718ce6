"""The table in memory: what a call costs over a bare one, and AITER's look-up beside it, in the torch environment."""

import json
import os
import subprocess
import sys


def measure() -> dict[str, float]:
    """Microseconds of a call, the ratio to a scan of 204 rows, MiB of 2,048 entries."""
    python = os.environ.get("HIPBMM_TORCH_PYTHON", sys.executable)
    done = subprocess.run([python, "-m", "bench._dispatch_calls"], stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
