"""The parent against real children in images that are broken in each way: a reason in words, never an error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hipbmm_kernel.image import oracle
from hipbmm_kernel.system import memory
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

ENGINE = """
class AsyncEngineArgs:
    @classmethod
    def from_cli_args(cls, parsed): return cls()
    @classmethod
    def add_cli_args(cls, parser): return parser
    def create_engine_config(self, usage_context=None): {what}
"""
PARSER = "import argparse\nclass FlexibleArgumentParser(argparse.ArgumentParser): pass\n"

TORN = """import os, sys; open(sys.argv[-1], "w").write('{"format": 1, "linears": [[')"""
LOUD = "import os, sys; sys.stdout.write('all is well ' * 1_000_000)"

SERVE = """
def make_arg_parser(parser):
    parser.add_argument("model_tag", nargs="?")
    return parser
"""
SAYS_MODEL = """
class AsyncEngineArgs:
    @classmethod
    def from_cli_args(cls, parsed): raise ValueError(f"the model is {parsed.model}")
    @classmethod
    def add_cli_args(cls, parser):
        parser.add_argument("--model", default="vLLM's default")
        return parser
"""

Image = dict[str, str]


def image(torch: str = "def set_num_threads(n): pass\n", what: str = "raise RuntimeError('no')") -> Image:
    """The files of an image whose vLLM gets as far as `what`."""
    return {
        "torch/__init__.py": torch,
        "vllm/__init__.py": "__version__ = '0.33.0'\n",
        "vllm/engine/__init__.py": "",
        "vllm/engine/arg_utils.py": ENGINE.format(what=what),
        "vllm/utils/__init__.py": "",
        "vllm/utils/argparse_utils.py": PARSER,
        "vllm/usage/__init__.py": "",
        "vllm/usage/usage_lib.py": "class UsageContext: OPENAI_API_SERVER = 1\n",
        "vllm/model_executor/__init__.py": "",
        "vllm/model_executor/model_loader/__init__.py": "",
        "vllm/model_executor/model_loader/utils.py": "",
    }


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[Image, float], oracle.Asked]:
    def run(files: Image, seconds: float = 120.0) -> oracle.Asked:
        for name, text in files.items():
            path = tmp_path / "site" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "site" / "sitecustomize.py").write_text(
            f"print(1, file=open({str(tmp_path / 'children')!r}, 'a'))\n"
        )
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
        with Stop() as stop:
            asked = oracle.ask(["model"], env, str(tmp_path / "work"), seconds, Clock(), stop)
        assert not (tmp_path / "work").exists()
        return asked

    return run


def children(place: Path) -> int:
    """How many interpreters have begun to ask."""
    return len((place / "children").read_text().split())


def test_a_server_that_vllm_refuses_is_not_tried_twice(ask: Callable[[Image], oracle.Asked], tmp_path: Path) -> None:
    asked = ask(image(what="raise ValueError('max_num_seqs is wrong')"))
    assert asked.refused
    assert children(tmp_path) == 1
    assert "max_num_seqs is wrong" in asked.reason


@pytest.mark.parametrize("place", ["common/cli_args", "launchers/cli_args", "openai/cli_args", "cli/serve", None])
def test_the_model_without_a_flag_is_read_wherever_vllm_keeps_its_parser(
    ask: Callable[[Image], oracle.Asked], place: str | None
) -> None:
    """0.29 and 0.33 moved it; the next version may again, or have none that is known."""
    package = f"vllm/entrypoints/{place}".rpartition("/")[0]
    where = {} if place is None else {f"{package}/__init__.py": "", f"vllm/entrypoints/{place}.py": SERVE}
    files = {"vllm/entrypoints/__init__.py": "", "vllm/engine/arg_utils.py": SAYS_MODEL, **where}
    asked = ask({**image(), **files})
    assert "the model is model" in asked.reason


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (image(torch="raise ImportError('libamdhip64.so: cannot open shared object file')"), "libamdhip64.so"),
        (image(torch="import os; os.kill(os.getpid(), 11)"), "SIGSEGV"),
        (image(torch="import os, sys; print('out of memory', file=sys.stderr); os._exit(1)"), "out of memory"),
        (image(what="exec('raise Exception(42)')"), "42"),
        (image(what="return object()"), "vllm.config"),
        (image(what="raise OSError(30, 'Read-only file system')"), "Read-only file system"),
        (image(what="raise ConnectionRefusedError('the hub')"), "the hub"),
        (image(torch="import sys; sys.exit('no licence')"), "SystemExit: no licence"),
        (image(torch="raise KeyboardInterrupt"), "KeyboardInterrupt"),
        ({**image(), "vllm/utils/argparse_utils.py": "raise SystemExit(5)"}, "SystemExit: 5"),
        (image(torch="import os; os._exit(0)"), "died of exit(0)"),
        (image(torch=f"{TORN}; os._exit(0)"), "gave no answer: not JSON"),
        (image(torch=f"{LOUD}; raise ImportError('that was all')"), "that was all"),
    ],
    ids=[
        "torch cannot be imported",
        "torch crashes",
        "exits",
        "remote code raises",
        "another vLLM",
        "needs a disk that can be written",
        "needs a network",
        "leaves Python",
        "interrupts",
        "leaves Python as the parser is imported",
        "ends without a word",
        "a torn answer",
        "megabytes on standard output",
    ],
)
def test_what_fails_is_tried_once_more_and_has_a_reason(
    ask: Callable[[Image], oracle.Asked], tmp_path: Path, files: Image, words: str
) -> None:
    asked = ask(files)
    assert (asked.answer, asked.refused, children(tmp_path)) == (None, False, 2)
    assert words in asked.reason


def test_a_vllm_that_hangs_is_left_at_the_deadline(ask: Callable[[Image, float], oracle.Asked], tmp_path: Path) -> None:
    asked = ask(image(torch="import threading; threading.Event().wait()"), 5.0)
    assert (asked.answer, children(tmp_path)) == (None, 1)
    assert "in time" in asked.reason


@pytest.mark.parametrize("where", ["itself", "a process that it starts"])
@pytest.mark.parametrize(("most", "left"), [(64 << 20, None), (6 << 30, 96 << 20)], ids=["own", "container's"])
def test_a_vllm_that_takes_all_memory_is_ended(
    ask: Callable[[Image], oracle.Asked], monkeypatch: pytest.MonkeyPatch, where: str, most: int, left: int | None
) -> None:
    monkeypatch.setattr(oracle, "MEMORY_BYTES", most)
    monkeypatch.setattr(memory, "left", lambda: left)
    fork = "if os.fork(): threading.Event().wait()\n" if where != "itself" else ""
    asked = ask(image(torch=f"import os, threading\n{fork}held = bytearray(200 << 20)\nthreading.Event().wait()"))
    assert "took more than 0.1 GiB" in asked.reason


LEFT = {
    "a session of its own": "os.setsid()",
    "a daemon": "os.setsid(); os.fork() and os._exit(0)",
    "deaf": "os.setsid(); [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]",
}
LEAVE = """
import os, signal, sys, threading
if os.fork() == 0:
    {how}
    print(os.getpid(), file=open("{pids}", "a"), flush=True)
    threading.Event().wait()
while not (os.path.exists("{pids}") and os.path.getsize("{pids}")): pass
{then}
"""


@pytest.mark.parametrize(
    ("how", "then"),
    [
        ("a session of its own", "raise ImportError('no')"),
        ("a daemon", "os._exit(0)"),
        ("deaf", "os.kill(os.getpid(), 9)"),
    ],
)
def test_nothing_that_a_child_started_is_left(
    ask: Callable[[Image], oracle.Asked], tmp_path: Path, how: str, then: str
) -> None:
    pids = tmp_path / "pids"
    asked = ask(image(torch=LEAVE.format(how=LEFT[how], pids=pids, then=then)))
    assert asked.answer is None
    started = pids.read_text().split()
    assert started
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def test_memory_of_what_left_the_session_counts(
    ask: Callable[[Image], oracle.Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oracle, "MEMORY_BYTES", 64 << 20)
    daemon = "if not os.fork(): os.setsid(); held = bytearray(200 << 20)"
    asked = ask(image(torch=f"import os, threading\n{daemon}\nthreading.Event().wait()"))
    assert "took more than 0.1 GiB" in asked.reason


def test_a_child_that_dies_leaves_no_core(ask: Callable[[Image], oracle.Asked]) -> None:
    limit = "import resource; raise ImportError(f'core of {resource.getrlimit(resource.RLIMIT_CORE)[0]}')"
    assert "core of 0" in ask(image(torch=limit)).reason


def test_a_log_without_end_is_kept_short(ask: Callable[[Image], oracle.Asked]) -> None:
    write = "for _ in range(64): os.write(1, b'noise ' * 10_000)\n"
    until_short = "while os.fstat(1).st_size > 1 << 20: time.sleep(0.01)\n"
    asked = ask(
        image(torch=f"import os, time\n{write}{until_short}{write}{until_short}raise ImportError('said it all')")
    )
    assert "said it all" in asked.reason


def test_a_directory_that_cannot_be_made_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Stop() as stop:
        asked = oracle.ask(["model"], {}, str(tmp_path / "file" / "work"), 5.0, Clock(), stop)
    assert "NotADirectoryError" in asked.reason
