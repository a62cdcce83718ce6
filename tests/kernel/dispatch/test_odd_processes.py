"""The plugin in processes that are not as we would make them: AITER there before it, other hooks, flags of Python."""

from pathlib import Path
from typing import Any

import pytest
from tests.kernel.dispatch.test_plugin import SERVER, Server, as_ever
from tests.kernel.pods import SIMULATOR, WITHOUT_OVERRIDE, PodMaker

from hipbmm_kernel.dispatch.recorder import read_calls

IMPORTED = "import aiter\n"
TRACER = """
class Tracer:
    def find_spec(self, name, path, target=None):
        if name != "aiter" or getattr(self, "busy", False):
            return None
        self.busy = True
        try:
            return importlib.util.find_spec(name)
        finally:
            self.busy = False
sys.meta_path.insert(0, Tracer())
"""
"""As wrapt's hooks do, which tracers use: asks all finders again."""
WRAPPED = """
def around(inner):
    def traced(*arguments, **keywords):
        return inner(*arguments, **keywords)
    return traced
aiter.hipb_mm = around(aiter.hipb_mm)
"""
BOUND = """
from aiter import hipb_mm
import hipbmm_kernel.linear.op as op
bound = type(sys)("aiter")
bound.__dict__.update(aiter.__dict__)
op.aiter = sys.modules["aiter"] = bound
"""
"""Who calls has bound the function when it was imported, once and for all."""
FAILS_ONCE = """
import aiter_simulator
from pathlib import Path
bad = Path("bad"); bad.mkdir(); (bad / "aiter.py").write_text("raise ImportError('not yet')")
sys.path.insert(0, str(bad))
importlib.invalidate_caches()
try:
    import aiter
except ImportError:
    pass
sys.path.remove(str(bad))
"""


def changed(before: str, after: str, program: str = SERVER) -> str:
    assert program.count(before) == 1, before
    return program.replace(before, after)


def program(name: str) -> str:
    if name == "AITER before the plugin":
        kept = "\n".join(line for line in SERVER.splitlines() if not line.startswith("assert "))
        return f"import aiter, importlib.util\n{kept}"
    if name == "a hook after ours":
        return changed(IMPORTED, TRACER + IMPORTED)
    if name == "a hook before ours":
        return changed("allowed = os", f"{TRACER}allowed = os")
    if name == "wrapped after us":
        return changed(IMPORTED, IMPORTED + WRAPPED)
    if name == "bound at import":
        return changed(IMPORTED, IMPORTED + BOUND)
    assert name == "an import that fails once"
    return changed(IMPORTED, FAILS_ONCE + IMPORTED)


def from_memory(server: Server, answer: dict[str, Any], found: dict[int, int]) -> None:
    assert answer["used"][:3] == [[1, found[1], "explicit"], [16, found[16], "explicit"], [16, found[16], "explicit"]]
    assert answer["used"][3][::2] == [600, "heuristic"]
    assert (answer["worst"] < 0.004, answer["tuning"], server.rows) == (True, None, 0)


@pytest.fixture
def server(make_pod: PodMaker) -> Server:
    return Server(make_pod(), Path(__file__).resolve().parents[3])


@pytest.mark.parametrize(
    "name",
    [
        "AITER before the plugin",
        "a hook after ours",
        "a hook before ours",
        "wrapped after us",
        "bound at import",
        "an import that fails once",
    ],
)
def test_the_table_is_served_whoever_was_first(server: Server, name: str) -> None:
    found = server.write()
    from_memory(server, server.serve(program(name)), found)
    (calls,) = server.folder.glob("calls-*.bin")
    assert read_calls(calls.read_bytes()) == {"verified": 2, "padded": 1, "heuristic": 1}


@pytest.mark.parametrize(
    "change",
    [
        "import aiter as other; other.hipb_mm = lambda a, b, index, *rest, **more: None",
        "import aiter as other; del other.hipb_mm",
    ],
    ids=["another signature", "no hipb_mm"],
)
def test_an_aiter_of_another_kind_is_left_as_it_is(server: Server, change: str) -> None:
    server.write()
    text = changed("allowed = os", f"{change}\nallowed = os", program("AITER before the plugin")).partition(
        "from aiter_simulator"
    )[0]
    text += 'module = getattr(getattr(aiter, "hipb_mm", None), "__module__", "")\n'
    text += 'print(json.dumps([module, os.environ["HIP_ONLINE_TUNING"]]))'
    module, tuning = server.serve(text)
    assert not module.startswith("hipbmm_kernel")
    assert tuning == "1"
    assert server.log.count("AITER stays as it is: aiter.hipb_mm is not there, or has other parameters") == 1


@pytest.mark.parametrize("flag", ["PYTHONSAFEPATH", "PYTHONNOUSERSITE"])
def test_variables_of_python_change_nothing(server: Server, flag: str) -> None:
    found = server.write()
    from_memory(server, server.serve(SERVER, (), **{flag: "1"}), found)


@pytest.mark.parametrize(
    "text", ["import aiter", "raise RuntimeError('of the image')", "import sys; sys.path.reverse()"]
)
def test_an_images_own_sitecustomize_changes_nothing(server: Server, tmp_path: Path, text: str) -> None:
    simulators = SIMULATOR / "sitecustomize.py"
    (tmp_path / "sitecustomize.py").write_text(f"import runpy; runpy.run_path({str(simulators)!r})\n{text}\n")
    found = server.write()
    path = f"{tmp_path}:{server.env['PYTHONPATH']}"
    source = program("AITER before the plugin") if "aiter" in text else SERVER
    from_memory(server, server.serve(source, PYTHONPATH=path), found)


@pytest.mark.parametrize("path", ["before", "without"])
def test_a_path_of_the_users_own(server: Server, tmp_path: Path, path: str) -> None:
    found = server.write()
    entries = server.env["PYTHONPATH"].split(":")
    if path == "before":
        from_memory(server, server.serve(PYTHONPATH=":".join([*entries[:0:-1], "", str(tmp_path), entries[0]])), found)
    else:
        kernel = Path(__file__).resolve().parents[3] / "kernel"
        as_ever(server, server.serve(PYTHONPATH=":".join([*entries[:-1], str(kernel)])))


def test_a_directory_that_cannot_be_written_costs_the_numbers_alone(server: Server) -> None:
    found = server.write()
    server.folder.chmod(0o555)
    try:
        from_memory(server, server.serve(SERVER, before=("-c", WITHOUT_OVERRIDE)), found)
    finally:
        server.folder.chmod(0o755)
    assert list(server.folder.glob("calls-*")) == []
