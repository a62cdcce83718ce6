"""The command line, the order of checks, and what a check's own failure does to the others."""

import io
import json
from pathlib import Path

import pytest

from hipbmm_kernel.acceptance import catalogue, supervision
from hipbmm_kernel.acceptance.catalogue import CHECKS, Check, chosen
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import FAIL, PASS, SKIP, Verdict
from hipbmm_kernel.cli import command_line
from hipbmm_kernel.cli.acceptance import acceptance_command, parse_problems
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import Problem

NAMES = [check.name for check in CHECKS]


def _run(*arguments: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return acceptance_command(list(arguments), stdout, stderr), stdout.getvalue(), stderr.getvalue()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nonsense"], "no such check: nonsense; there are environment"),
        (["--linear", "64"], "--linear '64': NxK expected"),
        (["--linear", "64x0"], "NxK expected"),
        (["--linear=-64x64"], "NxK expected"),
        (["--linear", "64x64x64"], "NxK expected"),
        (["--linear", "60x64"], "requires N >= 16 and both N and K divisible by 16, received N=60 and K=64."),
        (["--linear", "64x48"], "K divisible by 32"),
        (["--tokens", "1,513"], "513 is above 512"),
        (["--tokens", ""], "positive integers and commas expected"),
        (["--tokens", "0"], "positive integers and commas expected"),
        (["-o", "yaml"], "invalid choice"),
        (["--nonsense"], "unrecognized arguments"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    status, stdout, stderr = _run(*arguments)
    assert (status, stdout) == (2, "")
    assert message in stderr


def test_help_and_list() -> None:
    status, stdout, _ = _run("--help")
    assert status == 0
    assert "--linear NxK" in stdout
    status, stdout, _ = _run("--list")
    assert status == 0
    assert [line.partition(":")[0] for line in stdout.splitlines()] == NAMES


def test_every_claim_is_a_sentence() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for check in CHECKS:
        assert check.claim.endswith("."), check.name
        assert len(check.claim) > 30, check.name


def test_what_a_check_needs_comes_before_it() -> None:
    for position, check in enumerate(CHECKS):
        assert set(check.needs) <= set(NAMES[:position]), check.name


def test_choosing_brings_what_is_needed() -> None:
    assert [check.name for check in chosen(["exec-harvest"])] == [
        "environment",
        "probe-1024",
        "warm-twice",
        "exec-harvest",
    ]
    assert [check.name for check in chosen([])] == NAMES


def test_problems_are_all_tokens_of_each_linear() -> None:
    assert parse_problems(["64x256", "128x64", "64x256"], "16,1") == (
        Problem(16, 64, 256),
        Problem(1, 64, 256),
        Problem(16, 128, 64),
        Problem(1, 128, 64),
    )
    with pytest.raises(command_line.UsageError):
        parse_problems(["64x256"], "1;2")


def _context(root: Path) -> Context:
    return Context(root, {}, Identity(Stack(), 0, None, ()), (Problem(1, 64, 256),), {})


def _passing(_context: Context) -> Verdict:
    """It passes."""
    return Verdict(PASS, "fine", {"supported": True})


def _raising(_context: Context) -> Verdict:
    """It raises."""
    raise KeyError("device")


def _forbidden(_context: Context) -> Verdict:
    """It must not run."""
    raise AssertionError("ran without what it needs")


def test_trouble_inside_a_check_is_its_failure_and_skips_what_needs_it(tmp_path: Path) -> None:
    checks = [
        Check("a", _passing),
        Check("b", _raising, ("a",)),
        Check("c", _forbidden, ("a", "b")),
        Check("d", _passing, ("a",)),
    ]
    stderr = io.StringIO()
    results = catalogue.run(checks, _context(tmp_path), stderr)
    assert [(result["name"], result["outcome"]) for result in results] == [
        ("a", PASS),
        ("b", FAIL),
        ("c", SKIP),
        ("d", PASS),
    ]
    assert results[1]["summary"] == "the check itself failed: KeyError: 'device'"
    assert results[2]["summary"] == "needs b, which came to fail"
    assert [line.split(":")[1].strip() for line in stderr.getvalue().splitlines()] == ["a", "b", "c", "d"]


def test_without_a_solution_nothing_is_tuned() -> None:
    seen = {"probe-1024": Verdict(PASS, "no solution", {"supported": False})}
    obstacle = catalogue.obstacle(Check("x", _forbidden, ("probe-1024",)), seen)
    assert obstacle is not None
    assert (obstacle.outcome, "no swizzled solution" in obstacle.summary) == (SKIP, True)
    assert catalogue.obstacle(Check("x", _passing), seen) is None


def test_a_machine_without_torch_or_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HIPBMM_SYSFS", str(tmp_path))
    monkeypatch.setenv("HIPBMM_DEV", str(tmp_path))
    status, stdout, stderr = _run("-o", "json", "--out", str(tmp_path / "out"), "--scratch", str(tmp_path))
    assert status == 1
    found = json.loads(stdout)
    assert found["counts"] == {"pass": 0, "fail": 1, "skip": len(CHECKS) - 1}
    assert found["checks"][0]["summary"] == "PyTorch sees no GPU: ImportError: no torch here"
    assert json.loads((tmp_path / "out/acceptance.json").read_text(encoding="ascii")) == found
    assert "**FAIL**" in (tmp_path / "out/acceptance.md").read_text(encoding="utf-8")
    assert "environment: fail" in stderr
    assert not list(tmp_path.glob("hipbmm-acceptance-*"))


def test_a_report_that_cannot_be_written_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(catalogue, "CHECKS", (Check("a", _passing),))
    status, stdout, stderr = _run("--out", str(tmp_path / "file/out"))
    assert status == 1
    assert "| a | pass |" in stdout
    assert "the report cannot be written" in stderr


def test_the_program_knows_the_command(tmp_path: Path) -> None:
    end = supervision.run_program(["acceptance", "--list"], tmp_path, {}, 30.0)
    assert end.well, end
    assert [line.partition(":")[0] for line in end.stdout.splitlines()] == NAMES
