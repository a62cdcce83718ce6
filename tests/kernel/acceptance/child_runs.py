"""What a child might have reported, and a check that gets it for an answer: no child runs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.kernel.mi300x import STACK

from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import PASS, Verdict
from hipbmm_kernel.acceptance.supervision import ChildRun, Ended
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem

WELL = Ended(0, "", "", 1.0)
EXITED = Ended(1, "", "hipBLAS error: 'HIPBLAS_STATUS_INVALID_VALUE'(3) at hipbsolgemm.cu:968\n", 1.0)
SEGFAULT = Ended(-11, "", "", 1.0)
LATE = Ended(None, "", "", 300.0)
PROBLEM = Problem(1, 64, 256)
KEY = gemm.key_of(PROBLEM)


def table(*lines: str) -> bytes:
    """AITER's table with these rows."""
    return "\n".join([gemm.HEADER, *lines, ""]).encode()


TABLE = table(f"{KEY},812,KERN")


def child_run(end: Ended = WELL, *, output: str = "", **answers: Any) -> ChildRun:  # noqa: ANN401 - any JSON value
    """A child that ended so and reported one value about each subject; a list is several values."""
    listed = {name: value if isinstance(value, list) else [value] for name, value in answers.items()}
    return ChildRun(end._replace(stderr=f"{output}{end.stderr}"), listed)


def run(problem: list[int], sizes: list[int], verdict: str | None = None) -> dict[str, Any]:
    """One problem's part of what `multiply` reports."""
    return {"problem": problem, "seconds": [0.1] * len(sizes), "bytes": sizes, "verdict": verdict}


class Scripted(Context):
    """A context whose children have come to something already, and wrote to their tables."""

    answers: Mapping[str, ChildRun]
    appended: bytes

    def child(self, program: str, directory: str, *_: object, **__: object) -> ChildRun:
        """What was said of the child in this directory, else of any child of this program."""
        if self.appended:
            with self.table(directory).open("ab") as table:
                table.write(self.appended)
        return self.answers.get(directory) or self.answers[program]


def verdict_of(
    check: Callable[[Context], Verdict],
    root: Path,
    *,
    seen: Mapping[str, Mapping[str, Any]] | None = None,
    table: bytes = b"",
    appended: bytes = b"",
    stack: Stack = STACK,
    **children: ChildRun,
) -> Verdict:
    """The verdict of a check of one problem.

    `seen` is the evidence of earlier checks, `table` what they tuned; each child appends `appended` to its own table.
    """
    verdicts = {name: Verdict(PASS, "", dict(evidence)) for name, evidence in (seen or {}).items()}
    context = Scripted(root, {}, Identity(stack, 1, "0.33.0", ()), (PROBLEM,), verdicts)
    context.answers, context.appended = children, appended
    if table:
        context.table("tuned").write_bytes(table)
    return check(context)
