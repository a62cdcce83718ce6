"""What really runs is what the sidecar says: real servers behind the real `exec`, a fault of the plugin in each."""

import importlib.util
import json
import resource
import shutil
import subprocess
import sys
from typing import Any

import pytest
from tests.kernel.dispatch.test_plugin import Server
from tests.kernel.pods import ROOT, PodMaker

from hipbmm_kernel.dispatch import process_reports
from hipbmm_kernel.harvest import metrics
from hipbmm_kernel.harvest.dispatch_files import DispatchFiles
from hipbmm_kernel.system.volume import Volume
from hipbmm_operator.pods.report import parse_served_from

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="servers need torch")
SERVER = """
import json, os, sys
from vllm.plugins import load_general_plugins
{before}
load_general_plugins()
os.environ["HIP_ONLINE_TUNING"] = "1"  # vLLM's platforms/rocm.py does, when it is imported
import aiter
{after}
from aiter_simulator import gemm
from tests.kernel.linear.operands import make
operands = make(16, 256, 512)
a, b, a_scale, b_scale, bias = operands.call()
used, launch = [], gemm._launch
def watched(solutions, problem, choice):
    used.append([problem.M, choice.index, choice.on])
    return launch(solutions, problem, choice)
gemm._launch = watched
import torch
aiter.hipb_create_extension()
result = aiter.hipb_mm(
    a, b, -1, bias=bias, out_dtype=torch.bfloat16, scaleA=a_scale, scaleB=b_scale, bpreshuffle=True
)
error = float((result.float() - operands.expected.float()).norm() / operands.expected.float().norm())
tuning, here = os.environ.get("HIP_ONLINE_TUNING"), os.getcwd()
print(json.dumps({{"used": used, "error": error, "tuning": tuning, "here": here}}))
"""
EXEC = f"""
import sys; sys.path.insert(0, {str(ROOT / "kernel")!r})
from hipbmm_kernel.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
"""The program, in front of a server that finds it by PYTHONPATH only where `exec` says so."""
OTHER_PARAMETERS = """
inner = aiter.hipb_mm
aiter.hipb_mm = lambda a, b, index, *rest, **more: inner(a, b, index, *rest, **more)
"""
KERNEL = 'os.environ["HIPBMM_HOME"] + "/kernel"'
FAULTS = {
    "torn": 'p = os.environ["HIPBMM_DISPATCH_TABLE"]; os.truncate(p, os.path.getsize(p) - 3)',
    "another stack": "",
    "no import": "",
    "plugins": 'os.environ["VLLM_PLUGINS"] = "other"',
    "path": f"sys.path.remove({KERNEL})",
    "signature": f"import aiter\n{OTHER_PARAMETERS}",
}
"""What goes wrong in the server after `exec` has looked."""
SAID = {
    "torn": "the file is cut or changed: its sha256 is not the one in its first line",
    "another stack": "another stack: ",
    "signature": "aiter.hipb_mm is not there, or has other parameters",
}


class Case:
    """A pod in which `warm` has found that the table can be in memory."""

    def __init__(self, make_pod: PodMaker) -> None:
        self.made = Server(make_pod(), ROOT)
        self.pod, self.folder = self.made.pod, self.made.folder
        self.found = self.made.write()
        report = {"v": 1, "state": "Complete", "hipbmm": True, "dispatch": "Memory"}
        (self.pod.home / "report.json").write_text(json.dumps(report))

    def serve(self, before: str = "", after: str = "", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - of Popen
        """What a server that `exec` becomes has done."""
        text = SERVER.format(before=before, after=after)
        env = self.made.env | {"PYTHONPATH": self.made.env["PYTHONPATH"].rpartition(":")[0]} | more.pop("env", {})
        done = subprocess.run(
            [sys.executable, "-c", EXEC, "exec", "--", sys.executable, "-c", text],
            env=env,
            cwd=self.pod.root,
            capture_output=True,
            text=True,
            check=False,
            **more,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    @property
    def said(self) -> tuple[str, str]:
        heard = process_reports.read(Volume(), str(self.folder))
        return heard.summary() if heard is not None else ("nothing", "")


@pytest.fixture
def case(make_pod: PodMaker) -> Case:
    return Case(make_pod)


def test_a_process_that_serves_from_memory_says_so(case: Case) -> None:
    found = case.serve()
    assert (found["used"], found["tuning"]) == ([[16, case.found[16], "explicit"]], None)
    assert case.said == ("Memory", "")
    page = metrics.render(DispatchFiles(Volume(), str(case.made.table)).metrics()).decode()
    assert 'hipbmm_dispatch_processes{mode="Memory"} 1\n' in page
    assert 'hipbmm_dispatch_processes{mode="File"} 0\n' in page


@pytest.mark.parametrize("fault", FAULTS)
def test_with_any_fault_of_the_plugin_aiter_reads_and_tunes_its_file(case: Case, fault: str) -> None:
    if fault == "another stack":
        case.made.write(compute_units=38)
    elif fault == "no import":
        (case.pod.home / "kernel/hipbmm_kernel/dispatch/plugin.py").write_text("raise ImportError('of this image')\n")
    found = case.serve(FAULTS[fault], f"sys.path.append({KERNEL})")
    assert [on for _, _, on in found["used"]] == ["tune"], "AITER tunes what its file lacks"
    assert (found["tuning"], found["here"]) == ("1", str(case.pod.root))
    assert found["error"] < 0.004
    assert case.pod.served_file.read_text().count("\n") == 2, "a header and the row of this call, in the served file"
    if fault in SAID:
        assert case.said[0] == "File"
        assert SAID[fault] in case.said[1]
    else:
        assert case.said == ("Unknown", "0 of 1 processes say that they serve from memory")


def test_a_full_disk_costs_the_reason_and_not_the_word(case: Case) -> None:
    process_reports.begin(str(case.folder), 1)
    program = f"from hipbmm_kernel.dispatch import process_reports; process_reports.write({str(case.folder)!r}, %s)"

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    def say(reason: str) -> int:
        command = [sys.executable, "-c", program % reason]
        return subprocess.run(
            command, env=case.pod.env, preexec_fn=full, stderr=subprocess.DEVNULL, check=False
        ).returncode

    assert say("''") == 0
    assert case.said == ("Memory", "")
    assert say("'no room'") == 1
    assert case.said == ("File", "the reason could not be written (1 of 2 processes)")


def test_where_nothing_can_be_written_nothing_is_known_and_the_table_serves(case: Case) -> None:
    shutil.rmtree(case.folder / "processes", ignore_errors=True)
    table = case.made.table.read_bytes()
    shutil.rmtree(case.folder)
    case.folder.mkdir()
    case.made.table.write_bytes(table)
    case.folder.chmod(0o555)
    try:
        done = case.pod.run_bound_by_permissions("exec", "--", "true")
        assert "dispatch Memory" in done.stderr
        assert case.said == ("nothing", "")
    finally:
        case.folder.chmod(0o755)


def test_a_start_forgets_what_the_one_before_it_said(case: Case) -> None:
    case.serve(FAULTS["signature"])
    assert case.said[0] == "File"
    case.serve()
    assert case.said == ("Memory", "")


@pytest.mark.parametrize(("state", "mode"), [({"crashes": 2}, "NoTable"), ({"crashes": 9}, "NoHipbmm")])
def test_a_start_without_the_table_says_so(case: Case, state: dict[str, int], mode: str) -> None:
    whole = {"starts": 3, "mode": "Tuned", "started": 0.0, "boot": "the last"} | state
    (case.pod.home / "state.json").write_text(json.dumps(whole))
    done = case.pod.run("exec", "--", "true")
    assert case.said[0] == "File", done.stderr
    assert case.said[1].startswith("mode No"), mode


def test_a_worker_that_never_speaks_is_missed(case: Case) -> None:
    case.serve(env={"HIPBMM_TENSOR_PARALLEL": "2"})
    assert case.said == ("Unknown", "1 of 2 processes say that they serve from memory")


def test_the_sidecar_passes_it_on_to_the_operator(case: Case) -> None:
    case.serve(FAULTS["signature"])
    sidecar = case.pod.start("harvest", HIPBMM_METRICS_PORT="0", HIPBMM_HARVEST_SECONDS="0.1")
    try:
        assert sidecar.stderr is not None
        line = next(line for line in sidecar.stderr if "dispatch" in line)
    finally:
        sidecar.terminate()
        sidecar.communicate()
    spoken = parse_served_from(line)
    assert spoken is not None
    assert (spoken.mode, spoken.reason) == case.said


@pytest.mark.parametrize("kind", ["directory", "link", "long", "lines", "bytes"])
def test_what_somebody_else_has_put_there_is_bounded(case: Case, kind: str) -> None:
    process_reports.begin(str(case.folder), 1)
    word = case.folder / "file-7"
    if kind == "directory":
        word.mkdir()
    elif kind == "link":
        word.symlink_to("/dev/zero")
    else:
        word.write_bytes({"long": b"x" * 10_000, "lines": b"a\nhipbmm harvest: b\x1b[2J", "bytes": b"\xff"}[kind])
    mode, reason = case.said
    assert (mode, len(reason) <= process_reports.MAX_REASON, reason.isprintable()) == ("File", True, True)
    assert "\n" not in reason
