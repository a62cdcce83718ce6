"""`acceptance`: run the checks in this container and write one JSON document and one page."""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from hipbmm_kernel import __version__
from hipbmm_kernel.acceptance import catalogue, report
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import PASS
from hipbmm_kernel.cli import command_line
from hipbmm_kernel.cli.command_line import Answer
from hipbmm_kernel.contract.settings import parse_settings
from hipbmm_kernel.identity.container import read_identity
from hipbmm_kernel.linear.eligibility import BFLOAT16, can_implement, shuffle_reason
from hipbmm_kernel.rows.gemm import MAX_M, Problem
from hipbmm_kernel.system.clock import timestamp

LINEARS = ("2560x5120", "5120x2048")
"""qkv_proj and o_proj of Qwen3-32B at tensor parallel size 4."""

TOKENS = "1,16,256"
JSON_NAME = "acceptance.json"
PAGE_NAME = "acceptance.md"


def acceptance_command(argv: list[str], stdout: TextIO, stderr: TextIO) -> int:
    """Run the checks: 0 when none failed, 1 when one did or none could run, 2 on wrong usage.

    Standard output gets the page, or with `-o json` the document; standard error a line per check while it runs.
    """
    return command_line.run(_parser(), argv, stdout, stderr, lambda options: _checked(options, stderr))


def _checked(options: argparse.Namespace, stderr: TextIO) -> Answer:
    try:
        checks = catalogue.chosen(options.only)
        problems = parse_problems(options.linear or LINEARS, options.tokens)
        settings = parse_settings(os.environ)
    except ValueError as error:
        raise command_line.UsageError(f"hipbmm acceptance: {error}") from error
    if options.list:
        claims = {check.name: check.claim for check in checks}
        return Answer(claims, "".join(f"{name}: {claim}\n" for name, claim in claims.items()))
    identity = read_identity(settings.sysfs, settings.dev, os.environ, settings.simulated)
    stack = identity.stack
    about = {
        "program": __version__,
        "time": timestamp(time.time()),
        "simulated": stack.simulated,
        "key": stack.key,
        "stack": stack.document(),
        "problems": problems,
    }
    root = Path(tempfile.mkdtemp(prefix="hipbmm-acceptance-", dir=options.scratch))
    try:
        results = catalogue.run(checks, Context(root, dict(os.environ), identity, problems, {}), stderr)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return _answer(report.document(about, results), Path(options.out))


def parse_problems(linears: Sequence[str], tokens: str) -> tuple[Problem, ...]:
    """All tokens of each linear. UsageError for sizes that the kernel does not take or that AITER does not tune."""
    problems = []
    for linear in linears:
        n, k = _sizes(linear, "x", "--linear", count=2)
        reason = can_implement(n, k, BFLOAT16, per_token=True, per_channel=True) or shuffle_reason(n, k)
        if reason is not None:
            raise command_line.UsageError(f"--linear {linear}: {reason}")
        for m in _sizes(tokens, ",", "--tokens"):
            if m > MAX_M:
                raise command_line.UsageError(f"--tokens: {m} is above {MAX_M}, where AITER neither looks up nor tunes")
            problems.append(Problem(m, n, k))
    return tuple(dict.fromkeys(problems))


def _sizes(text: str, separator: str, option: str, count: int = 0) -> list[int]:
    parts = text.split(separator)
    if (count and len(parts) != count) or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        wanted = "NxK" if count else "positive integers and commas"
        raise command_line.UsageError(f"{option} {text!r}: {wanted} expected")
    return [int(part) for part in parts]


def _answer(found: Mapping[str, object], directory: Path) -> Answer:
    encoded, page = report.encoded(found), report.page(found)
    document, wrong = json.loads(encoded), found["outcome"] != PASS
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / JSON_NAME).write_bytes(encoded)
        (directory / PAGE_NAME).write_text(page, encoding="utf-8")
    except OSError as error:
        return Answer(document, page, (f"the report cannot be written: {error}",), wrong=True)
    return Answer(document, page, (f"{directory / JSON_NAME} and {directory / PAGE_NAME} written",), wrong)


def _parser() -> command_line.Parser:
    parser = command_line.Parser("acceptance", "Check every claim on a real MI3xx.")
    add: Callable[..., object] = parser.add_argument
    add("--out", default="hipbmm-acceptance", metavar="DIR", help=f"where {JSON_NAME} and {PAGE_NAME} go")
    add("--only", action="append", default=[], metavar="CHECK", help="this check and what it needs (repeatable)")
    add("--list", action="store_true", help="name the checks and their claims, run nothing")
    add("--linear", action="append", metavar="NxK", help=f"weight N x K, repeatable (default {' '.join(LINEARS)})")
    add("--tokens", default=TOKENS, metavar="M,M", help=f"token counts up to {MAX_M} (default {TOKENS})")
    add("--scratch", metavar="DIR", help="local disk for the children's directories (default: the system's)")
    return parser
