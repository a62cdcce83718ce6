"""An eager server meets every M from 1 to 512: with 204 tuned problems its calls run verified indices, from memory."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.kernel.pods import ROOT, Pod, PodMaker

from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.recorder import read_calls
from hipbmm_kernel.rows import aiter_csv

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="children need torch"),
]
LINEARS = ((512, 256), (256, 256), (1024, 256), (256, 512))
"""N and K of the small model at tensor parallel size 1."""
MARK = "the server's calls"
SERVER = f"""
import json, os, threading
from vllm.plugins import load_general_plugins
load_general_plugins()
os.environ["HIP_ONLINE_TUNING"] = "1"  # vLLM's platforms/rocm.py does, when it is imported
import aiter
from aiter_simulator import gemm
from tests.kernel.linear.operands import make
from hipbmm_kernel.linear.op import hipb_mm_fp8
from hipbmm_kernel.linear.quantise import relative_error
launches = []
launch = gemm._launch
def watched(solutions, problem, choice):
    launches.append((problem.M, problem.N, problem.K, choice.index, choice.on))
    return launch(solutions, problem, choice)
gemm._launch = watched
blocks = []
for n, k in {LINEARS}:
    operands = make(512, n, k)
    a, weight, a_scale, weight_scale, _ = operands.call()
    blocks.append((a, weight, a_scale, weight_scale, operands.expected))
    hipb_mm_fp8(a, weight, a_scale, weight_scale)
    hipb_mm_fp8(a[:511], weight, a_scale[:511], weight_scale)
print(json.dumps(threading.get_native_id()))
os.write(2, b"{MARK}\\n")
results = []
launches.clear()
for m in range(1, 513):
    for a, weight, a_scale, weight_scale, expected in blocks:
        results.append((hipb_mm_fp8(a[:m], weight, a_scale[:m], weight_scale), expected[:m]))
os.write(2, b"{MARK}\\n")
worst = max(float(relative_error(*pair)) for pair in results)
print(json.dumps([worst, os.environ.get("HIP_ONLINE_TUNING"), launches]))
"""


class Served(NamedTuple):
    """What an eager server did: the file calls of the serving thread, the worst error, its tuning switch, what AITER
    launched (M, N, K, index, how it came to it), and what the counters say."""

    opened: list[str]
    worst: float
    tuning: str | None
    launches: list[tuple[int, int, int, int, str]]
    calls: dict[str, int]


def warmed(make_pod: PodMaker, name: str, **env: str) -> tuple[Pod, dict[str, Any]]:
    pod = make_pod(name)
    del pod.env["HIPBMM_TOKENS"]
    pod.env |= {"HIPBMM_SIM_SYSFS": pod.env["HIPBMM_SYSFS"], "HIPBMM_SIM_DEV": pod.env["HIPBMM_DEV"]}
    pod.env |= {"HIPBMM_SERVER_ARGS": '["--enforce-eager"]', **env}
    assert pod.run("payload", str(pod.home)).returncode == 0
    done = pod.run("warm")
    assert done.returncode == 0, done.stderr
    return pod, pod.report


def serve(pod: Pod, trace: Path) -> Served:
    """Run the server by `exec`, under strace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    traced = [strace, "-f", "-qq", "-e", "trace=%file,write", "-o", str(trace)]
    done = subprocess.run(
        [*traced, *pod.command("exec", "--", sys.executable, "-c", SERVER)],
        env=pod.env | {"PYTHONPATH": f"{pod.env['PYTHONPATH']}:{ROOT}"},
        cwd=pod.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    thread, (worst, tuning, launches) = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    own = [line for line in trace.read_text().splitlines() if line.startswith(f"{thread} ")]
    first, last = (at for at, line in enumerate(own) if MARK in line)
    (path,) = (pod.home / "dispatch").glob("calls-*.bin")
    return Served(own[first + 1 : last], worst, tuning, launches, read_calls(path.read_bytes()) or {})


def test_nearly_all_calls_run_a_verified_index_without_a_file(make_pod: PodMaker, tmp_path: Path) -> None:
    pod, report = warmed(make_pod, "a")
    assert (report["problems"], report["tuned"], report["dispatch"]) == (204, 204, "Memory"), report["notes"]
    rows = pod.served_file.read_bytes()
    served = serve(pod, tmp_path / "trace")
    tuned = {tuple(row.problem): row.algo_index for row in aiter_csv.parse_lines(rows).accepted}
    assert len(tuned) == 204
    assert len(served.launches) == 4 * 512  # each M once, of each linear
    right = [on == "explicit" and tuned.get((m, n, k)) == index for m, n, k, index, on in served.launches]
    assert sum(right) / len(right) >= 0.99, served.calls
    assert {on for *_, on in served.launches} <= {"explicit", "heuristic"}
    calls = sum(served.calls.values())
    assert calls == 4 * (512 + 2)
    assert served.calls["verified"] + served.calls["padded"] >= sum(right)
    assert served.calls["verified"] >= 204
    assert served.worst < 0.004
    assert served.opened == []
    assert (served.tuning, pod.served_file.read_bytes()) == (None, rows)

    second, report = warmed(make_pod, "b")
    assert (report["problems"], report["dispatch"], report["children"]) == (204, "Memory", 0), report["notes"]
    tables_of = [tables.decode((each.home / "dispatch/table").read_bytes()) for each in (pod, second)]
    assert tables_of[0] == tables_of[1]


def test_with_the_file_each_size_is_a_problem_of_its_own(make_pod: PodMaker) -> None:
    _, report = warmed(make_pod, "a", HIPBMM_DISPATCH="File", HIPBMM_TUNE="0")
    assert (report["problems"], report["dispatch"], report["dispatchReason"]) == (2048, "File", "")
    _, report = warmed(make_pod, "b", VLLM_PLUGINS="other", HIPBMM_TUNE="0")
    assert (report["problems"], report["dispatchReason"]) == (2048, "VLLM_PLUGINS leaves hipbmm_dispatch out")
