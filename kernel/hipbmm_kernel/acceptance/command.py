"""`acceptance`: run the checks in this container and write one JSON document and one page."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hipbmm_kernel import __version__
from hipbmm_kernel.acceptance import catalogue, report
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import About, Result
from hipbmm_kernel.acceptance.verdict import PASS, failed
from hipbmm_kernel.contract.settings import SettingsError, parse_settings
from hipbmm_kernel.identity.container import read_identity
from hipbmm_kernel.linear.eligibility import BFLOAT16, can_implement, shuffle_reason
from hipbmm_kernel.rows.gemm import MAX_M, Problem
from hipbmm_kernel.system.clock import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

    from hipbmm_kernel.acceptance.catalogue import Check
    from hipbmm_kernel.acceptance.verdict import Verdict

LINEARS = ("2560x5120", "5120x2048")
"""qkv_proj and o_proj of Qwen3-32B at tensor parallel size 4."""

TOKENS = "1,16,256"
JSON_NAME = "acceptance.json"
PAGE_NAME = "acceptance.md"


class UsageError(ValueError):
    """The command line cannot be understood; the message says why."""


def acceptance_command(argv: list[str], stdout: TextIO, stderr: TextIO) -> int:
    """Run the checks: 0 when none failed, 1 when one did or none could run, 2 on wrong usage.

    Standard output gets the page, or with `-o json` the document; standard error a line per check while it runs.
    """
    try:
        options = _parser().parse_args(argv)
        if options.help:
            stdout.write(_parser().format_help())
            return 0
        checks = catalogue.chosen(options.only)
        problems = parse_problems(options.linear or LINEARS, options.tokens)
        settings = parse_settings(os.environ)
    except (UsageError, SettingsError, ValueError) as error:
        stderr.write(f"hipbmm acceptance: {error}\n")
        return 2
    if options.list:
        stdout.write("".join(f"{check.name}: {check.claim}\n" for check in checks))
        return 0
    identity = read_identity(settings.sysfs, settings.dev, os.environ, settings.simulated)
    stack = identity.stack
    about = About(__version__, timestamp(time.time()), stack.simulated, stack.key, stack.document(), problems)
    root = Path(tempfile.mkdtemp(prefix="hipbmm-acceptance-", dir=options.scratch))
    try:
        results = run_checks(checks, Context(root, dict(os.environ), identity, problems, {}), stderr)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return _deliver(report.document(about, results), options, stdout, stderr)


def run_checks(checks: Sequence[Check], context: Context, stderr: TextIO) -> list[Result]:
    """Run each check or skip it for what came before; an error inside a check is its failure."""
    results = []
    for check in checks:
        began = time.monotonic()
        verdict = catalogue.obstacle(check, context.seen) or _answered(check, context)
        context.seen[check.name] = verdict
        result = Result(check.name, check.claim, verdict, time.monotonic() - began)
        results.append(result)
        stderr.write(
            f"hipbmm acceptance: {check.name}: {verdict.outcome} ({result.seconds:.1f} s): {verdict.summary}\n"
        )
        stderr.flush()
    return results


def parse_problems(linears: Sequence[str], tokens: str) -> tuple[Problem, ...]:
    """All tokens of each linear. UsageError for sizes that the kernel does not take or that AITER does not tune."""
    problems = []
    for linear in linears:
        n, k = _sizes(linear, "x", "--linear", count=2)
        reason = can_implement(n, k, BFLOAT16, per_token=True, per_channel=True) or shuffle_reason(n, k)
        if reason is not None:
            raise UsageError(f"--linear {linear}: {reason}")
        for m in _sizes(tokens, ",", "--tokens"):
            if m > MAX_M:
                raise UsageError(f"--tokens: {m} is above {MAX_M}, where AITER neither looks up nor tunes")
            problems.append(Problem(m, n, k))
    return tuple(dict.fromkeys(problems))


def _sizes(text: str, separator: str, option: str, count: int = 0) -> list[int]:
    parts = text.split(separator)
    if (count and len(parts) != count) or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        wanted = "NxK" if count else "positive integers and commas"
        raise UsageError(f"{option} {text!r}: {wanted} expected")
    return [int(part) for part in parts]


def _answered(check: Check, context: Context) -> Verdict:
    try:
        return check.run(context)
    except Exception as error:  # noqa: BLE001 - one check's trouble must not hide what the others show
        return failed(f"the check itself failed: {type(error).__name__}: {error}"[:400])


def _deliver(found: Mapping[str, object], options: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    encoded, page = report.encoded(found), report.page(found)
    stdout.write(encoded.decode("ascii") if options.output == "json" else page)
    try:
        directory = Path(options.out)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / JSON_NAME).write_bytes(encoded)
        (directory / PAGE_NAME).write_text(page, encoding="utf-8")
    except OSError as error:
        stderr.write(f"hipbmm acceptance: the report cannot be written: {error}\n")
        return 1
    stderr.write(f"hipbmm acceptance: {directory / JSON_NAME} and {directory / PAGE_NAME} written\n")
    return 0 if found["outcome"] == PASS else 1


class _Parser(argparse.ArgumentParser):
    """Raises UsageError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="hipbmm_kernel acceptance", description="Check every claim on a real MI3xx.", add_help=False)
    add: Callable[..., object] = parser.add_argument
    add("-h", "--help", action="store_true", help="show this")
    add("--out", default="hipbmm-acceptance", metavar="DIR", help=f"where {JSON_NAME} and {PAGE_NAME} go")
    add("--only", action="append", default=[], metavar="CHECK", help="this check and what it needs (repeatable)")
    add("--list", action="store_true", help="name the checks and their claims, run nothing")
    add("--linear", action="append", metavar="NxK", help=f"weight rows x columns (repeatable; {' '.join(LINEARS)})")
    add("--tokens", default=TOKENS, metavar="M,M", help=f"token counts up to {MAX_M} ({TOKENS})")
    add("--scratch", metavar="DIR", help="local disk for the children's directories (the system's own)")
    add("-o", "--output", choices=("text", "json"), default="text", help="what standard output gets")
    return parser
