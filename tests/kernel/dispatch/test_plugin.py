"""The plugin as vLLM loads it: by its entry point, in a process of a simulated pod, before AITER is imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.pods import Pod, PodMaker

from hipbmm_kernel.dispatch.recorder import read_calls
from hipbmm_kernel.dispatch.table import Entry, Table, encode

N, K = 256, 512
_INDICES: dict[int, int] = {}
SERVER = """
import importlib.metadata, importlib.util, json, os, sys
allowed = os.environ.get("VLLM_PLUGINS")
for entry in importlib.metadata.entry_points(group="vllm.general_plugins"):
    if allowed is None or entry.name in allowed.split(","):
        entry.load()()
os.environ["HIP_ONLINE_TUNING"] = "1"  # vLLM's platforms/rocm.py does, when it is imported
assert "torch" not in sys.modules, "a plugin must not import torch where nobody has"
assert importlib.util.find_spec("aiter"), "vLLM's _aiter_ops.py asks so, twice, before it imports AITER"
assert importlib.util.find_spec("aiter") and "aiter" not in sys.modules
import aiter
from aiter_simulator import gemm
from tests.kernel.linear.operands import make
from hipbmm_kernel.linear.op import hipb_mm_fp8
from hipbmm_kernel.linear.quantise import relative_error
used = []
launch = gemm._launch
def watched(solutions, problem, choice):
    used.append([problem.M, choice.index, choice.on])
    return launch(solutions, problem, choice)
gemm._launch = watched
errors = []
for m in (1, 3, 16, 600):
    operands = make(m, 256, 512)
    errors.append(float(relative_error(hipb_mm_fp8(*operands.call()), operands.expected)))
tuning, function = os.environ.get("HIP_ONLINE_TUNING"), aiter.hipb_mm.__module__
print(json.dumps({"used": used, "worst": max(errors), "tuning": tuning, "function": function}))
"""
INDEX = """
import json
from aiter_simulator import gpu, library
from aiter_simulator.operands import describe
from tests.kernel.linear.operands import make
import torch
found = {}
for m in (1, 16):
    a, b, a_scale, b_scale, bias = make(m, 256, 512).call()
    problem = describe(a, b, bias, torch.bfloat16, (a_scale, b_scale), preshuffle=True)
    found[m] = library.load(gpu.visible()[0]).candidates(problem, 32)[-1].index
print(json.dumps(found))
"""


class Server:
    """A serving process of a pod where `payload` has left the program, on PYTHONPATH behind the image's own."""

    def __init__(self, pod: Pod, root: Path) -> None:
        self.pod = pod
        done = pod.run("payload", str(pod.home))
        assert done.returncode == 0, done.stderr
        simulator = pod.env["PYTHONPATH"].split(":")[0]
        self.env = pod.env | {
            "PYTHONPATH": f"{simulator}:{root}:{pod.home / 'kernel'}",
            "HIPBMM_SIM_SYSFS": pod.env["HIPBMM_SYSFS"],
            "HIPBMM_SIM_DEV": pod.env["HIPBMM_DEV"],
        }
        self.work = pod.home / "work"
        self.work.mkdir(exist_ok=True)
        self.folder = pod.home / "dispatch"
        self.folder.mkdir()
        self.table = self.folder / "table"
        self.log = ""

    def indices(self) -> dict[int, int]:
        """The slowest right index of M 1 and 16: not what the heuristic takes. The same in each simulated pod."""
        if not _INDICES:
            _INDICES.update({int(m): index for m, index in json.loads(self._run(INDEX, {})).items()})
        return _INDICES

    def write(self, **stack: object) -> dict[int, int]:
        """A table with M 1 and 16, and 3 padded to 16, for the stack of the pod but for what is named."""
        found = self.indices()
        sizes = ((1, 1), (16, 16), (3, 16))
        entries = tuple(Entry(m, N, K, False, found[padded], padded) for m, padded in sizes)
        changed = self.pod.stack()._replace(**stack)  # type: ignore[arg-type]
        self.table.write_bytes(encode(Table(changed, entries)))
        return found

    def serve(self, program: str = SERVER, before: tuple[str, ...] = (), **env: str) -> Any:  # noqa: ANN401 - JSON
        """What the program prints; `before` are arguments of a Python that becomes the one that runs it."""
        return json.loads(self._run(program, {"HIPBMM_DISPATCH_TABLE": str(self.table)} | env, before))

    def _run(self, program: str, env: dict[str, str], before: tuple[str, ...] = ()) -> str:
        done = subprocess.run(
            [*([sys.executable, *before] if before else []), sys.executable, "-c", program],
            env=self.env | env,
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.log = done.stderr
        return done.stdout.splitlines()[-1]

    @property
    def rows(self) -> int:
        """Lines in the file that AITER appends to."""
        path = self.work / "hip_online_tuning_res.csv"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def server(make_pod: PodMaker) -> Server:
    return Server(make_pod(), Path(__file__).resolve().parents[3])


def test_the_table_is_served_from_memory(server: Server) -> None:
    found = server.write()
    answer = server.serve()
    assert answer["used"][:3] == [[1, found[1], "explicit"], [16, found[16], "explicit"], [16, found[16], "explicit"]]
    assert answer["used"][3][::2] == [600, "heuristic"]
    assert answer["worst"] < 0.004
    assert (answer["tuning"], answer["function"]) == (None, "hipbmm_kernel.dispatch.wrapper")
    assert server.rows == 0
    (calls,) = server.folder.glob("calls-*.bin")
    assert read_calls(calls.read_bytes()) == {"verified": 2, "padded": 1, "heuristic": 1}


def as_ever(server: Server, answer: dict[str, Any]) -> None:
    """AITER tunes online, into its own file, and computes right."""
    assert [on for _, _, on in answer["used"]] == ["tune", "tune", "tune", "heuristic"]
    assert answer["worst"] < 0.004
    assert answer["tuning"] == "1"
    assert server.rows == 4  # a header and three rows


@pytest.mark.parametrize(
    "stack",
    [{"arch": "gfx950"}, {"compute_units": 38}, {"features": "sramecc-:xnack-"}],
    ids=["arch", "compute units", "features"],
)
def test_on_another_stack_aiter_stays_as_it_is(server: Server, stack: dict[str, Any]) -> None:
    server.write(**stack)
    as_ever(server, server.serve())
    assert server.log.count("AITER stays as it is: another stack") == 1


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "directory", "other"])
def test_without_a_whole_table_aiter_stays_as_it_is(server: Server, damage: str) -> None:
    server.write()
    whole = server.table.read_bytes()
    server.table.unlink()
    if damage == "directory":
        server.table.mkdir()
    elif damage != "absent":
        server.table.write_bytes({"empty": b"", "cut": whole[:-1], "other": b"{}"}[damage])
    as_ever(server, server.serve())
    assert server.log.count("AITER stays as it is") == 1


def test_without_a_table_named_the_plugin_does_nothing(server: Server) -> None:
    as_ever(server, server.serve(HIPBMM_DISPATCH_TABLE=""))
    assert "hipbmm dispatch" not in server.log


def test_a_user_who_leaves_the_plugin_out_gets_aiter_as_it_is(server: Server) -> None:
    server.write()
    as_ever(server, server.serve(VLLM_PLUGINS="some_other"))
