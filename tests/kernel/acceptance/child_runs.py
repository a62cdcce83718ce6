"""What a child might have reported, for judging without one."""

from typing import Any

from hipbmm_kernel.acceptance.supervision import ChildRun, Ended

WELL = Ended(0, "", "", 1.0)
EXITED = Ended(1, "", "hipBLAS error: 'HIPBLAS_STATUS_INVALID_VALUE'(3) at hipbsolgemm.cu:968\n", 1.0)
SEGFAULT = Ended(-11, "", "", 1.0)
LATE = Ended(None, "", "", 300.0)


def child_run(end: Ended = WELL, *, output: str = "", **answers: Any) -> ChildRun:  # noqa: ANN401 - any JSON value
    """A child that ended so and reported one value about each subject; a list is several values."""
    listed = {name: value if isinstance(value, list) else [value] for name, value in answers.items()}
    return ChildRun(end._replace(stderr=f"{output}{end.stderr}"), listed)


def run(problem: list[int], sizes: list[int], verdict: str | None = None) -> dict[str, Any]:
    """One problem's part of what `multiply` reports."""
    return {"problem": problem, "seconds": [0.1] * len(sizes), "bytes": sizes, "verdict": verdict}
