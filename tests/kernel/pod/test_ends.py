"""Which ends of a server count: real processes, made as vLLM makes its engine, behind the real `exec`."""

import json
import sys

import pytest
from tests.kernel.mi300x import STACK
from tests.kernel.pods import Pod

from hipbmm_kernel.dispatch import table as tables

SERVER = """
import ctypes, importlib.metadata, multiprocessing, os, signal, sys, time

def load():
    found = importlib.metadata.entry_points(group="vllm.general_plugins", name="hipbmm_dispatch")
    for point in found:
        point.load()()

def raises():
    raise RuntimeError("HIP error")

def waits(ready):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ready.set()
    while True:
        time.sleep(0.1)  # not `pause`, for which a signal just before it would be lost

WAYS = {
    "returns": lambda: None, "exits": lambda: sys.exit(0), "raises": raises, "kills": lambda: os.kill(os.getpid(), 9),
    "aborts": os.abort, "aiter": lambda: ctypes.CDLL(None).exit(1), "quits": lambda: os._exit(0),
}

def engine(method, way, ready):
    if method == "spawn":  # a fork has the plugins of its parent
        load()
    waits(ready) if way == "waits" else WAYS[way]()

if __name__ == "__main__":
    method, way, end = sys.argv[1:]
    load()
    context = multiprocessing.get_context(method)
    ready = context.Event()
    process = context.Process(target=engine, args=(method, way, ready))
    process.start()
    if way == "waits":
        ready.wait()
        process.terminate()
    process.join()
    WAYS[end]()
"""
ORDERLY = [
    ("fork", "returns", "returns"),
    ("fork", "exits", "returns"),
    ("fork", "waits", "exits"),
    ("spawn", "returns", "returns"),
    ("spawn", "waits", "returns"),
]
CRASHES = [
    *(("fork", way, "returns") for way in ("raises", "kills", "aborts", "aiter", "quits")),
    *(("spawn", way, "returns") for way in ("raises", "aiter")),
    *(("fork", "returns", end) for end in ("raises", "kills", "aiter", "quits")),
]


@pytest.fixture
def ready(pod: Pod) -> Pod:
    """A pod whose server has its table in memory."""
    assert pod.run("payload", str(pod.home)).returncode == 0
    (pod.home / "dispatch").mkdir()
    (pod.home / "dispatch/table").write_bytes(tables.encode(tables.Table(STACK, ())))
    (pod.home / "report.json").write_text('{"state": "Complete", "hipbmm": true, "dispatch": "Memory"}')
    (pod.root / "server.py").write_text(SERVER)
    return pod


@pytest.fixture(params=["File", "NoTable", "NoHipbmm"])
def without_memory(ready: Pod, request: pytest.FixtureRequest) -> Pod:
    """The same where the server has no table in memory."""
    report = {"state": "Complete", "hipbmm": request.param != "NoHipbmm", "dispatch": "File"}
    (ready.home / "report.json").write_text(json.dumps(report))
    crashes = 2 if request.param == "NoTable" else 0
    state = {"starts": 2, "crashes": crashes, "mode": "Tuned", "started": 0.0, "boot": "the last"}
    (ready.home / "state.json").write_text(json.dumps(state))
    return ready


def crashes(pod: Pod, method: str, way: str, end: str, ends: int = 1, *, memory: bool = True) -> int:
    """How many ends of a server whose engine goes that `way` are counted."""
    for _ in range(ends):
        done = pod.run("exec", "--", sys.executable, str(pod.root / "server.py"), method, way, end)
        assert ("dispatch Memory" in done.stderr) == memory
    pod.run("exec", "--", "true")
    return int(json.loads((pod.home / "state.json").read_text())["crashes"])


@pytest.mark.parametrize(("method", "way", "end"), ORDERLY)
def test_a_server_whose_processes_all_end_in_an_orderly_way_keeps_its_table(
    ready: Pod, method: str, way: str, end: str
) -> None:
    assert crashes(ready, method, way, end, 2) == 0


@pytest.mark.parametrize(("method", "way", "end"), CRASHES)
def test_an_engine_that_dies_counts_though_the_server_exits_with_status_0(
    ready: Pod, method: str, way: str, end: str
) -> None:
    assert crashes(ready, method, way, end) == 1


def test_ends_are_told_apart_without_a_table_in_memory_too(without_memory: Pod) -> None:
    before = json.loads((without_memory.home / "state.json").read_text())["crashes"]
    assert crashes(without_memory, "spawn", "waits", "exits", memory=False) == before
    counted = crashes(without_memory, "fork", "kills", "returns", memory=False)
    assert counted - before == len(["the end of `true`, which leaves no mark", "this one"])


@pytest.mark.parametrize("kind", ["link", "file", "directory", "strange"])
def test_what_is_no_directory_of_marks_costs_nothing_else(ready: Pod, kind: str) -> None:
    place, other = ready.home / "dispatch/processes", ready.root / "somebody's"
    other.mkdir()
    (other / "1").write_text("a file")
    (other / "ended").write_text("another")
    if kind == "link":
        place.symlink_to(other)
    elif kind == "file":
        place.write_text("no directory")
    else:
        place.mkdir()
        (place / ("7" if kind == "directory" else "somebody's")).mkdir()
    assert crashes(ready, "fork", "returns", "returns") == 1
    assert [path.read_text() for path in sorted(other.iterdir())] == ["a file", "another"]


def test_an_end_that_leaves_no_marks_counts(ready: Pod) -> None:
    ready.run("exec", "--", "true")
    assert crashes(ready, "fork", "returns", "returns") == 1
