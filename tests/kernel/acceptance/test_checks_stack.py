"""Each check of `acceptance.checks_stack` can pass, fail, and say why. No GPU, torch or simulator."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.acceptance.child_runs import (
    EXITED,
    LATE,
    SEGFAULT,
    child_run,
    verdict_of,
)
from tests.kernel.mi300x import STACK

from hipbmm_kernel.acceptance import (
    checks_stack,
)
from hipbmm_kernel.acceptance.report import FAIL, PASS
from hipbmm_kernel.acceptance.supervision import ChildRun
from hipbmm_kernel.identity.stack import Stack

DEVICE = {
    "arch": "gfx942:sramecc+:xnack-",
    "computeUnits": 304,
    "name": "AMD Instinct MI300X",
    "torch": "2.9.0",
    "hip": "7.2.1",
    "fp8": "e4m3fnuz",
}
LIBRARY = {"loaded": ["/opt/rocm/lib/libhipblaslt.so.1"], "hipb_mm": True, "fp8": "e4m3fnuz"}


@pytest.mark.parametrize(
    ("child", "outcome", "summary"),
    [
        (child_run(device=DEVICE, library=LIBRARY), PASS, "HIP 7.2.1"),
        (child_run(device={**DEVICE, "hip": ""}, library=LIBRARY), FAIL, "no ROCm build"),
        (child_run(device=DEVICE, library={**LIBRARY, "hipb_mm": False}), FAIL, "no hipb_mm"),
        (child_run(EXITED, device=DEVICE), FAIL, "AITER did not start: ended with exit(1): hipBLAS error"),
        (child_run(EXITED, error={"type": "NoGpuError", "message": "no GPU"}), FAIL, "no GPU: NoGpuError"),
        (child_run(LATE), FAIL, "no answer within 300 s"),
    ],
)
def test_environment(tmp_path: Path, child: ChildRun, outcome: str, summary: str) -> None:
    verdict = verdict_of(checks_stack.environment, tmp_path, inspect=child)
    assert verdict.outcome == outcome
    assert summary in verdict.summary


@pytest.mark.parametrize(
    ("stack", "device", "library", "difference"),
    [
        (STACK, DEVICE, LIBRARY, None),
        (STACK, {**DEVICE, "arch": "gfx950:sramecc+:xnack-"}, LIBRARY, "torch says gfx950"),
        (STACK, {**DEVICE, "arch": "gfx942:sramecc+:xnack+"}, LIBRARY, "xnack+"),
        (STACK, {**DEVICE, "computeUnits": 228}, LIBRARY, "torch says 228"),
        (STACK, {**DEVICE, "fp8": "e4m3fn"}, LIBRARY, "FP8 type"),
        (STACK, DEVICE, {**LIBRARY, "fp8": "e4m3fn"}, "FP8 type"),
        (STACK, DEVICE, {**LIBRARY, "fp8": ""}, None),
        (STACK, DEVICE, {**LIBRARY, "loaded": []}, "no libhipblaslt is mapped"),
        (STACK._replace(hipblaslt=None, databases=()), DEVICE, LIBRARY, "unknown: hipblaslt; unknown: databases"),
    ],
)
def test_identity(
    tmp_path: Path, stack: Stack, device: dict[str, object], library: dict[str, Any], difference: str | None
) -> None:
    # The library that was loaded lies beside the database that the stack names.
    database = tmp_path / "hipblaslt/library/TensileLibrary_lazy_gfx942.dat"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"solutions")
    if stack.databases:
        stack = stack._replace(databases=(sha256(b"solutions").hexdigest(),))
    library = {**library, "loaded": [str(tmp_path / Path(path).name) for path in library["loaded"]]}
    seen = {"device": device, "library": library}
    verdict = verdict_of(checks_stack.stack_identity, tmp_path, seen={"environment": seen}, stack=stack)
    assert verdict.outcome == (PASS if difference is None else FAIL)
    assert (difference or "key ") in verdict.summary


@pytest.mark.parametrize(
    ("answer", "outcome", "supported"),
    [
        ({"reason": None}, PASS, True),
        ({"reason": "hipblasLtMatmulAlgoGetHeuristic found 0 valid solutions for TN"}, PASS, False),
        ({"reason": "wrong result: relative error 1.41"}, FAIL, False),
        ({"reason": "HIP error: out of memory"}, FAIL, False),
        (None, FAIL, False),
    ],
)
def test_probe(tmp_path: Path, answer: dict[str, object] | None, outcome: str, supported: bool) -> None:
    seen = {"environment": {"probe": answer, "end": EXITED.evidence()}}
    verdict = verdict_of(checks_stack.probe, tmp_path, seen=seen)
    assert (verdict.outcome, verdict.evidence["supported"]) == (outcome, supported)


@pytest.mark.parametrize(
    ("child", "registered", "compiled"),
    [
        (child_run(opcheck={"a": "SUCCESS"}, compiled={"verdict": None}), "1 parts", "one graph"),
        (
            child_run(opcheck={"a": "SUCCESS", "b": "FAILED"}, compiled={"verdict": "NaN"}),
            "not a success: b",
            "wrong product: NaN",
        ),
        (child_run(SEGFAULT), "no answer: ended with SIGSEGV", "not compiled: ended with SIGSEGV"),
    ],
)
def test_registration_and_compilation(tmp_path: Path, child: ChildRun, registered: str, compiled: str) -> None:
    op = verdict_of(checks_stack.registration, tmp_path, register=child)
    assert (op.outcome, op.summary) == (PASS if registered == "1 parts" else FAIL, registered)
    graph = verdict_of(checks_stack.compilation, tmp_path, seen={"op-registration": op.evidence})
    assert (graph.outcome, graph.summary) == (PASS if compiled == "one graph" else FAIL, compiled)
