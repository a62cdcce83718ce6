"""Pods whose children come from a process that has torch loaded, and the server that a pod starts after `warm`."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.pods import ROOT, Pod, PodMaker
from tests.kernel.tune.scripted import Scene

from hipbmm_kernel.system.stop import Stop

SERVER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from hipbmm_kernel.linear.gate import current_platform
from hipbmm_kernel.linear.module import HipbMMLinear
from hipbmm_kernel.linear.quantise import per_channel, per_token, reference
found = {"kernel": "", "wrong": {}, "problems": 0}
for n, k, *biased in json.loads(sys.argv[3]):
    generator = torch.Generator().manual_seed(n + k)
    weight, scale = per_channel(torch.randn(n, k, generator=generator), torch.float8_e4m3fnuz)
    bias = (torch.randn(n, generator=generator) * k**0.5).bfloat16() if biased else None
    linear = HipbMMLinear(weight, scale, bias, platform=current_platform())
    found["kernel"] = linear.selection.kernel.__name__
    tokens = torch.randn(1024, k, generator=generator)
    for m in json.loads(sys.argv[4]):
        a, a_scale = per_token(tokens[:m], weight.dtype)
        expected = reference(a, a_scale, weight, scale, bias)
        limit = 0.02 * expected.square().mean().sqrt() + 0.02 * expected.abs()
        found["problems"] += 1
        wrong = int((~((linear(tokens[:m]).float() - expected).abs() <= limit)).sum())
        if wrong:
            found["wrong"][f"M={m} N={n} K={k}" + " bias" * bool(biased)] = wrong
print("served", json.dumps(found), flush=True)
"""
"""Every linear for every M, as a server of this pod computes it: which kernel, and how many elements are wrong."""

LINEARS = [[256, 512], [512, 256]]
TOKENS = [1, 2, 16, 512]
ALL_TOKENS = [*TOKENS, 1024]


@dataclass(frozen=True)
class Serving:
    """What the server did: its exit status, the kernel that it chose, wrong elements by problem, problems computed."""

    status: int
    kernel: str
    wrong: dict[str, int]
    problems: int
    log: str

    @property
    def hipbmm(self) -> bool:
        return self.kernel == "AiterHipbMMPerTokenFp8ScaledMMLinearKernel"


Serve = Callable[..., Serving]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Stop() as stop:
        yield Scene(tmp_path, stop)


@pytest.fixture
def make_pod(make_pod: PodMaker, zygote: Mapping[str, str]) -> PodMaker:
    """Pods of two small linears; their children need not import torch themselves, which would take most of the time."""

    def make(name: str = "pod-a", gpus: int = 1) -> Pod:
        pod = make_pod(name, gpus)
        pod.env |= {**zygote, "PYTHONPATH": f"{zygote['PYTHONPATH']}:{pod.env['PYTHONPATH']}"}
        pod.env |= {
            "HIPBMM_MODEL_CONFIG": str(pod.root / "none"),
            "HIPBMM_LINEARS": json.dumps([{"n": n, "k": k} for n, k in LINEARS]),
            "HIPBMM_TOKENS": json.dumps(TOKENS),
        }
        return pod

    return make


@pytest.fixture
def serve(zygote: Mapping[str, str]) -> Serve:
    """Run the server behind `exec`: `serve(pod, HIPBMM_SIM_FAULTS=...)`."""

    def run(pod: Pod, linears: Sequence[Sequence[int]] = LINEARS, **env: str) -> Serving:
        command = [zygote["ZYGOTE_CHILD"], "-c", SERVER, str(ROOT / "kernel"), "0"]
        done = pod.run("exec", "--", *command, json.dumps(linears), json.dumps(ALL_TOKENS), **env)
        served = next((line for line in done.stdout.splitlines() if line.startswith("served ")), "served {}")
        found: dict[str, Any] = json.loads(served.removeprefix("served "))
        return Serving(
            done.returncode, found.get("kernel", ""), found.get("wrong", {}), found.get("problems", 0), done.stderr
        )

    return run
