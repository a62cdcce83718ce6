"""Times of contenders from graphs that hold all of them, on the simulator's device clock."""

import json
import subprocess
from collections.abc import Mapping
from statistics import median
from typing import Any

import pytest
from tests.kernel.pods import ROOT, PodMaker

pytestmark = pytest.mark.torch

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from aiter_simulator import runtime, tuning
from hipbmm_kernel.tune.child.stopwatch import Stopwatch
us, graphs = json.loads(sys.argv[3]), json.loads(sys.argv[4])
seen = []
def contender(which):
    def launch(copy):
        seen.append((which, copy))
        if not runtime.capture(us[which]):
            tuning.measure(us[which], 1)
    return launch
captured = []
class Graph(torch.cuda.CUDAGraph):
    def capture_begin(self, *arguments, **options):
        if not graphs:
            raise RuntimeError("no graphs here")
        seen.clear()
        super().capture_begin(*arguments, **options)
    def capture_end(self):
        captured.append(list(seen))
        super().capture_end()
torch.cuda.CUDAGraph = Graph
times = Stopwatch().race([contender(which) for which in range(len(us))], 8, 5)
print(json.dumps({"times": times, "captured": captured}))
"""


def race(make_pod: PodMaker, zygote: Mapping[str, str], *us: float, graphs: bool = True) -> dict[str, Any]:
    """What the stopwatch says of launches that take so many microseconds."""
    pod = make_pod()
    env = {**pod.env, **zygote, "PYTHONPATH": f"{zygote['PYTHONPATH']}:{pod.env['PYTHONPATH']}"}
    command = [zygote["ZYGOTE_CHILD"], "-c", PROGRAM, str(ROOT / "kernel"), "0", json.dumps(us), json.dumps(graphs)]
    done = subprocess.run(command, env=env, cwd=pod.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("us", [(20.0,), (20.0, 20.4), (6.0, 60.0), (700.0, 20.0), (5.0, 7.0, 9.0)])
def test_each_contender_has_its_own_time(
    make_pod: PodMaker, zygote: Mapping[str, str], us: tuple[float, ...], graphs: bool
) -> None:
    found = race(make_pod, zygote, *us, graphs=graphs)
    for times, true in zip(found["times"], us, strict=True):
        assert len(times) == 5
        assert median(times) == pytest.approx(true, abs=0.005 * max(us))


def test_all_contenders_are_in_each_graph_and_read_cold_copies(make_pod: PodMaker, zygote: Mapping[str, str]) -> None:
    captured = race(make_pod, zygote, 20.0, 25.0)["captured"]
    assert len(captured) == 2
    for most, launches in enumerate(captured):
        order = [which for which, _ in launches]
        assert order.count(most) == 3 * order.count(1 - most)
        assert 1 - most in order[:4], "interleaved"
        copies = [copy for _, copy in launches]
        assert all(len(set(copies[at : at + 8])) == 8 for at in range(len(copies) - 7)), "no copy is read while warm"
