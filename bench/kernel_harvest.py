"""The sidecar that waits: memory, and the share of a core that it takes while the server learns nothing."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.kernel_warm import WARM, pod

SETTLE_SECONDS = 3.0
IDLE_SECONDS = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        env = pod(Path(directory)) | {"HIPBMM_METRICS_PORT": "0", "HIPBMM_HARVEST_SECONDS": "5"}
        subprocess.run([sys.executable, "-c", WARM], env=env, capture_output=True, check=True)
        shutil.rmtree(Path(directory) / "pycache", ignore_errors=True)  # nothing is compiled in a pod's image either
        command = [sys.executable, "-m", "hipbmm_kernel", "harvest"]
        with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as sidecar:
            try:
                time.sleep(SETTLE_SECONDS)
                before = _seconds(sidecar.pid)
                time.sleep(IDLE_SECONDS)
                spent = _seconds(sidecar.pid) - before
                peak = _peak_bytes(sidecar.pid)
            finally:
                sidecar.terminate()
    return {"harvest_idle_percent_of_a_core": 100 * spent / IDLE_SECONDS, "harvest_peak_mb": peak / 1e6}


def _seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) * 1024
