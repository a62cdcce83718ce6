"""The whole acceptance against the simulator: each check runs as on a GPU, and fails where a fault is ordered.

Not shown here, because the simulated device cannot do it: tracing, and what allocations leave free. The programs of
those checks run on a real GPU of any make in `tests/device`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hipbmm_kernel.acceptance.catalogue import CHECKS
from simulator.image import Build, write_rocm
from simulator.sysfs import write_dev, write_tree

pytestmark = [pytest.mark.torch, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).resolve().parents[3]
COMMAND = (
    "import sys; from hipbmm_kernel.cli.acceptance import acceptance_command; "
    "sys.exit(acceptance_command(sys.argv[1:], sys.stdout, sys.stderr))"
)
SMALL = ("--linear", "64x256", "--linear", "128x64", "--tokens", "1,16")
CANNOT_BE_SIMULATED = {
    "op-registration",
    "op-compiles",
    "memory-guard",
    "free-memory-rule",
    "low-memory-exit",
}

Checks = dict[str, dict[str, Any]]
Acceptance = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def acceptance(tmp_path_factory: pytest.TempPathFactory, zygote: Mapping[str, str]) -> Acceptance:
    """Runs the command on one simulated MI300X; keyword arguments are HIPBMM_SIM_* variables."""
    root = tmp_path_factory.mktemp("machine")
    write_dev(root / "dev", write_tree(root / "sys", count=8)[:1])
    write_rocm(root / "rocm", Build())

    def run(*arguments: str, **simulated: str) -> tuple[int, dict[str, Any]]:
        scratch = tmp_path_factory.mktemp("scratch")
        environ = {
            "PATH": os.environ["PATH"],
            **zygote,
            "PYTHONPATH": f"{zygote['PYTHONPATH']}:{REPOSITORY}/dev/simulator/python:{REPOSITORY}/kernel",
            "ROCM_PATH": str(root / "rocm"),
            "HIPBMM_SYSFS": str(root / "sys"),
            "HIPBMM_DEV": str(root / "dev"),
            "HIPBMM_SIM_ROCM": str(root / "rocm"),
            "HIPBMM_SIM_STATE": str(scratch / "state"),
            **{f"HIPBMM_SIM_{name}": value for name, value in simulated.items()},
        }
        places = ("--out", str(scratch / "out"), "--scratch", str(scratch))
        ended = subprocess.run(
            [sys.executable, "-c", COMMAND, "-o", "json", *places, *arguments],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode in {0, 1}, ended.stderr
        assert [path.name for path in scratch.iterdir() if path.name not in {"out", "state"}] == []
        return ended.returncode, json.loads(ended.stdout)

    return run


@pytest.fixture(scope="module")
def whole(acceptance: Acceptance) -> dict[str, Any]:
    """Everything, once."""
    return acceptance(*SMALL)[1]


def _by_name(found: dict[str, Any]) -> Checks:
    return {check["name"]: check for check in found["checks"]}


def test_every_check_ran_and_it_says_that_it_was_simulated(whole: dict[str, Any]) -> None:
    assert list(_by_name(whole)) == [check.name for check in CHECKS]
    assert whole["simulated"] is True
    assert whole["stack"]["product"] == "MI300X"
    assert whole["problems"] == [[1, 64, 256], [16, 64, 256], [1, 128, 64], [16, 128, 64]]


@pytest.mark.parametrize("name", [check.name for check in CHECKS if check.name not in CANNOT_BE_SIMULATED])
def test_passes_on_a_good_stack(whole: dict[str, Any], name: str) -> None:
    check = _by_name(whole)[name]
    assert check["outcome"] == "pass", check


@pytest.mark.parametrize("name", sorted(CANNOT_BE_SIMULATED))
def test_what_cannot_be_simulated_is_skipped_and_not_passed(whole: dict[str, Any], name: str) -> None:
    check = _by_name(whole)[name]
    assert check["outcome"] == "skip", check


def test_evidence_is_what_was_seen(whole: dict[str, Any]) -> None:
    checks = _by_name(whole)
    assert len(checks["rows-parse"]["evidence"]["rows"]) == 4
    assert checks["unwritable-table"]["evidence"]["announced"] == 3
    assert checks["absent-index"]["evidence"]["end"]["status"] == 1
    assert "hipBLAS error" in checks["absent-index"]["evidence"]["end"]["stderr"]
    assert "(900)" in checks["capture-miss"]["summary"]
    assert checks["warm-twice"]["evidence"]["second"]["report"]["torchImported"] is False
    assert checks["timing-gain"]["evidence"]["geomean"] >= 0.98
    torn, repaired = (checks["torn-row"]["evidence"][name]["runs"][0]["bytes"] for name in ("torn", "repaired"))
    assert torn[0] < torn[1]
    assert repaired[0] == repaired[1]


def test_no_solution_is_a_clear_answer_and_nothing_is_tuned(acceptance: Acceptance) -> None:
    status, found = acceptance(*SMALL, FAULTS="no-solution")
    checks = _by_name(found)
    assert status == 0
    assert checks["probe-1024"]["outcome"] == "pass"
    assert "found 0 valid solutions" in checks["probe-1024"]["summary"]
    assert {check["outcome"] for name, check in checks.items() if name not in _STACK_CHECKS} == {"skip"}


_STACK_CHECKS = {"environment", "stack-identity", "gate", "probe-1024"}


def test_wrong_numbers_in_the_probe(acceptance: Acceptance) -> None:
    status, found = acceptance(*SMALL, "--only", "rows-parse", FAULTS="wrong:M=1024")
    checks = _by_name(found)
    assert status == 1
    assert checks["probe-1024"]["outcome"] == "fail"
    assert "wrong result" in checks["probe-1024"]["summary"]
    assert checks["rows-parse"]["summary"] == "needs probe-1024, which came to fail"


def test_another_gpu_than_sysfs_says_and_a_table_that_is_not_written(acceptance: Acceptance) -> None:
    only = ("--only", "stack-identity", "--only", "rows-parse")
    status, found = acceptance(*SMALL, *only, CU="228", FAULTS="lost-append")
    checks = _by_name(found)
    assert status == 1
    assert checks["stack-identity"]["summary"] == "sysfs says 304 CUs, torch says 228"
    assert (checks["rows-parse"]["outcome"], checks["rows-parse"]["summary"]) == ("fail", "no table was written")


def test_partial_lines(acceptance: Acceptance) -> None:
    rows = _by_name(acceptance(*SMALL, "--only", "rows-parse", FAULTS="partial-line:bytes=60,M=16")[1])["rows-parse"]
    assert rows["outcome"] == "fail"
    assert "rejected" in rows["summary"]
    assert len(rows["evidence"]["missing"]) >= 1


def test_wrong_results(acceptance: Acceptance) -> None:
    faults = "wrong:M=16,on=tune|lookup"
    checks = _by_name(acceptance(*SMALL, "--only", "accuracy", "--only", "timing-gain", FAULTS=faults)[1])
    assert checks["accuracy"]["outcome"] == checks["timing-gain"]["outcome"] == "fail"
    assert set(checks["accuracy"]["evidence"]["wrong"]) == {"[16, 64, 256]", "[16, 128, 64]"}


def test_slow_rows(acceptance: Acceptance) -> None:
    check = _by_name(acceptance(*SMALL, "--only", "timing-gain", FAULTS="throttle:on=explicit,factor=3")[1])[
        "timing-gain"
    ]
    assert check["outcome"] == "fail"
    assert check["evidence"]["geomean"] == pytest.approx(0.35, abs=0.1)


def test_a_child_that_aiter_ends(acceptance: Acceptance) -> None:
    checks = _by_name(acceptance(*SMALL, "--only", "lookup-hits", FAULTS="exit:on=lookup")[1])
    assert checks["rows-parse"]["outcome"] == "fail"
    assert "ended with exit(1): hipBLAS error" in checks["rows-parse"]["summary"]
    assert checks["lookup-hits"]["outcome"] == "skip"


def test_between_the_floor_and_the_need_aiter_ends_the_process(acceptance: Acceptance) -> None:
    # 260 MiB free: AITER's workspace of 256 fits, the 263 that this problem's tuning takes do not.
    check = _by_name(acceptance(*SMALL, "--only", "low-memory-exit", FREE_MIB="260")[1])["low-memory-exit"]
    assert check["outcome"] == "pass", check
    assert "out of memory" in check["summary"]
