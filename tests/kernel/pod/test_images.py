"""Images whose vLLM cannot be asked: the plan is config.json's, the reason is in the report, the server starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.kernel.pods import ROOT, SIMULATOR, SMALL_MODEL
from tests.unit.kernel.image.test_oracle import Image, image

from hipbmm_kernel.planner.answer import HIPBMM

if TYPE_CHECKING:
    from tests.kernel.pods import Pod

pytestmark = pytest.mark.timeout(600)

KERNEL = "vllm/model_executor/kernels/linear/scaled_mm/aiter.py"
HAS_KERNEL = {KERNEL: f"class {HIPBMM}: pass\n"}
HANG = "import threading; threading.Event().wait()\n"
FORK = "import os, threading\nif os.fork() == 0: threading.Event().wait()\nos._exit(0)\n"
NOISE = "import sys\nfor _ in range(200_000): sys.stderr.write('a line of noise ' * 4 + chr(10))\n"
CHATTY = f"{NOISE}raise ImportError('chatty')\n"
JUNK = "import sys; open(sys.argv[-1], 'w').write('{' * 100_000); import os; os._exit(0)\n"
PARSER = {"vllm/utils/argparse_utils.py": f"class FlexibleArgumentParser:\n def __init__(self): {HANG}"}
STOPS = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)\n"
PIPED = "import os, sys; os.mkfifo(sys.argv[-1])"
PIPE = f"{PIPED}; os._exit(0)\n"
WORDLESS = "class Wordless(Exception):\n def __str__(self): raise KeyError('no words')\nraise Wordless\n"
LINGERS = "import sys, threading; threading.Thread(target=threading.Event().wait).start()"
CLOSED = f"{LINGERS}; sys.stdout.close(); sys.stderr.close(); raise RuntimeError('remote code')"
GONE = "import os; os.closerange(0, 64); raise RuntimeError('remote code')"
FORGED = """print('{"refused": "forged"}', flush=True); raise RuntimeError('remote code')"""
CASES: dict[str, tuple[Image, str]] = {
    "none": ({}, "the image has no vLLM"),
    "not whole": ({"vllm/__init__.py": ""}, "the image's vLLM has no engine/arg_utils.py"),
    "hangs": (image(torch=HANG), "did not answer in time"),
    "hangs in a process of its own": (image(torch=FORK), "died of"),
    "torch cannot be imported": (image(torch="raise ImportError('libamdhip64.so')\n"), "libamdhip64.so"),
    "a syntax error": (image(torch="def\n"), "SyntaxError"),
    "leaves Python": (image(torch="import sys; sys.exit('no licence')\n"), "no licence"),
    "dies": (image(torch="import os; os.kill(os.getpid(), 11)\n"), "SIGSEGV"),
    "remote code raises": (image(what="raise RuntimeError('remote code')"), "remote code"),
    "remote code recurses": (image(what="return self.create_engine_config()"), "RecursionError"),
    "remote code leaves Python": (image(what="import sys; sys.exit(3)"), "refuses this server"),
    "refuses the model": (image(what="raise ValueError('no such architecture')"), "no such architecture"),
    "writes very much": (image(torch=CHATTY), "chatty"),
    "answers nonsense": (image(torch=JUNK), "gave no answer"),
    "hangs in its parser": ({**image(), **PARSER}, "did not answer in time"),
    "hangs as it stops itself": (image(torch=STOPS), "did not answer in time"),
    "closes the standard streams": (image(what=CLOSED), "remote code"),
    "closes every descriptor": (image(what=GONE), "remote code"),
    "answers on standard output": (image(what=FORGED), "remote code"),
    "leaves a pipe for an answer": (image(torch=PIPE), "gave no answer"),
    "puts a pipe in the answer's place": (image(what=f"{PIPED}; raise RuntimeError('remote code')"), "remote code"),
    "leaves a directory for an answer": (image(torch=PIPE.replace("mkfifo", "mkdir")), "IsADirectoryError"),
    "raises what has no words": (image(torch=WORDLESS), "no words"),
    "raises what is no text": (image(what="raise RuntimeError('\\x1b[2J \\ud800 \\0')"), "RuntimeError"),
    "is another vLLM": (image(what="return object()"), "vllm.config"),
}


def make_image(pod: Pod, files: Image, kernel: Image = HAS_KERNEL) -> None:
    """Put the files in place of the simulator's vLLM."""
    site = pod.root / "site"
    site.mkdir()
    for part in ("aiter", "aiter_simulator", *(path.name for path in SIMULATOR.glob("amd_aiter-*.dist-info"))):
        (site / part).symlink_to(SIMULATOR / part)
    for name, text in ({**files, **kernel} if files else {}).items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    model = pod.root / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(SMALL_MODEL))
    del pod.env["HIPBMM_MODEL_CONFIG"]
    pod.env |= {"PYTHONPATH": f"{site}:{ROOT / 'kernel'}", "HIPBMM_MODEL": str(model), "HIPBMM_IMAGE_SECONDS": "150"}


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_that_of_config_json_and_the_server_starts(pod: Pod, name: str) -> None:
    files, words = CASES[name]
    make_image(pod, files)
    seconds = "3" if "in time" in words else "150"  # all others end by themselves
    done = pod.run("warm", HIPBMM_TUNE="0", HIPBMM_IMAGE_SECONDS=seconds)
    assert done.returncode == 0, done.stderr
    assert pod.report["plan"]["source"] == "Config", pod.report["notes"]
    assert pod.report["problems"] == 12
    assert any(words in note for note in pod.report["notes"]), pod.report["notes"]
    assert any(words in note for note in pod.message["notes"]), "the operator reads no more than the message"
    served = pod.run("exec", "--", "echo", "serving")
    assert (served.returncode, served.stdout) == (0, "serving\n")


def test_an_image_that_is_not_to_be_asked_is_not(pod: Pod) -> None:
    make_image(pod, image(torch="open('asked', 'w')\n"))
    pod.run("warm", HIPBMM_TUNE="0", HIPBMM_IMAGE_SECONDS="0")
    assert pod.report["plan"]["source"] == "Config"
    assert not list(pod.root.rglob("asked"))


@pytest.mark.parametrize("beside", ["params.json", "generation_config.json"])
def test_another_configuration_that_vllm_may_take_is_named(pod: Pod, beside: str) -> None:
    make_image(pod, image())
    (pod.root / "model" / beside).write_text("{}")
    pod.run("warm", HIPBMM_TUNE="0", HIPBMM_IMAGE_SECONDS="0")
    named = [note for note in pod.report["notes"] if "params.json is not read" in note]
    assert (pod.report["problems"], len(named)) == (12, int(beside == "params.json"))


CHAIN = {"vllm/model_executor/kernels/linear/__init__.py": "_POSSIBLE_FP8_KERNELS = {}\n"}


@pytest.mark.parametrize(
    ("kernel", "plugin", "problems", "words"),
    [
        ({KERNEL: ""}, "0", 0, ""),
        ({KERNEL: ""}, "1", 0, "spec.server.plugin: this vLLM has no list of kernels that the plugin knows"),
        ({KERNEL: "", **CHAIN}, "0", 0, ""),
        ({KERNEL: "", **CHAIN}, "1", 12, ""),
        (HAS_KERNEL, "1", 12, ""),
    ],
    ids=["older", "too old for the plugin", "without the plugin", "with the plugin", "has the kernel"],
)
def test_a_vllm_without_the_kernel_is_planned_for_with_the_plugin(
    pod: Pod, kernel: Image, plugin: str, problems: int, words: str
) -> None:
    make_image(pod, image(), kernel)
    done = pod.run("warm", HIPBMM_TUNE="0", HIPBMM_PLUGIN=plugin)
    assert done.returncode == 0, done.stderr
    assert pod.report["problems"] == problems, pod.report
    assert words in " ".join(pod.report["notes"])
    assert ("spec.server.plugin" in " ".join(pod.report["notes"])) is bool(words)
    if not problems:
        assert pod.report["reason"] == "NoEligibleLinears"
