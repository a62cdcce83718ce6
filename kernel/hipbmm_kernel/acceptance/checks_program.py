"""Checks of this program as a pod runs it: `warm` twice on one store, then `exec` with `harvest` beside it."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from hipbmm_kernel.acceptance import supervision
from hipbmm_kernel.acceptance.checks_table import ANNOUNCEMENT
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import Verdict, failed, judged
from hipbmm_kernel.acceptance.supervision import Ended
from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.store import table
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.system import own_program, process
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

WARM_SECONDS = 900.0
SERVE_SECONDS = 300.0
HARVEST_SECONDS = 30.0
POLL_SECONDS = 0.2


class Warmed(NamedTuple):
    """One run of `warm`: how it ended and its report (None when it wrote none)."""

    end: Ended
    report: dict[str, Any] | None


def warm_twice(context: Context) -> Verdict:
    """`warm` tunes the problems once; a second pod with the same store starts no child and imports no torch."""
    context.directory("store")
    runs = [_warm(context, name) for name in ("pod-1", "pod-2")]
    return judge_warm(runs[0], runs[1], len(context.problems))


def judge_warm(first: Warmed, second: Warmed, problems: int) -> Verdict:
    """Fail unless both are complete, the first by tuning and the second from the store alone."""
    evidence = {
        name: {"report": run.report, "end": run.end.evidence(), "seconds": run.end.seconds}
        for name, run in (("first", first), ("second", second))
    }
    if first.report is None or second.report is None:
        return failed(f"no report: {first.end.words()}; {second.end.words()}", evidence)
    expected = (
        (first, {"state": "Complete", "problems": problems, "rows": problems}),
        (second, {"state": "Complete", "source": "Restored", "rows": problems, "children": 0, "torchImported": False}),
    )
    wrong = [
        f"{name} is {run.report.get(name)!r}, not {value!r}"
        for run, values in expected
        for name, value in values.items()
        if run.report is not None and run.report.get(name) != value
    ]
    took = f"{first.end.seconds:.1f} s, then {second.end.seconds:.2f} s"
    return judged(not wrong, took, "; ".join(wrong), evidence)


def exec_harvest(context: Context) -> Verdict:
    """The server finds all rows that `warm` served, learns one more, and `harvest` takes that one to the store."""
    home = context.root / "pod-2"
    learned = context.unplanned()
    problems = [*context.problems, learned]
    command = supervision.child_command("multiply", {"problems": problems, "calls": 1})
    env = _pod_env(context, home)
    harvester = process.start([*own_program.command("__main__"), "harvest"], home, env)
    try:
        served = supervision.run_program(["exec", "--", *command], home, env, SERVE_SECONDS)
        found = _wait_for(context, learned)
        harvester.terminate()
        harvested = supervision.wait(harvester, HARVEST_SECONDS)
    finally:
        process.kill_session(harvester.pid)  # also where one of these raised
    return judge_round_trip(served, harvested, found, len(problems))


def judge_round_trip(served: Ended, harvested: Ended, found: bool, calls: int) -> Verdict:
    """Fail when the server tuned other than the one new problem, or its row did not come to the store."""
    answers = supervision.parse_answers(served.stdout)
    announced = served.stderr.count(ANNOUNCEMENT)
    evidence = {"server": served.evidence(), "harvest": harvested.evidence(), "answers": answers}
    evidence |= {"announced": announced, "inStore": found}
    if not served.well or len(answers.get("problem", [])) != calls:
        return failed(f"the server {served.words()}", evidence)
    if announced != 1:
        return failed(f"the server tuned {announced} problems instead of the one that is new", evidence)
    if not harvested.well:
        return failed(f"harvest {harvested.words()}", evidence)
    return judged(found, "1 row learned and stored", "the learned row did not come to the store", evidence)


def _warm(context: Context, name: str) -> Warmed:
    home = context.directory(name)
    end = supervision.run_program(["warm"], home, _pod_env(context, home), WARM_SECONDS)
    try:
        report = json.loads((home / "report.json").read_bytes())
    except (OSError, ValueError):
        report = None
    return Warmed(end, report)


def _pod_env(context: Context, home: Path) -> dict[str, str]:
    """The settings of a pod whose plan is given, with its home and store in the scratch directory.

    The problems are all tokens of each linear, which is what `warm` makes of these settings.
    """
    linears = dict.fromkeys((problem.n, problem.k) for problem in context.problems)
    settings: dict[str, object] = {
        "HIPBMM_HOME": home,
        "HIPBMM_STORE": context.directory("store"),
        "HIPBMM_MIRRORS": home / "mirror",
        "HIPBMM_LINEARS": json.dumps([{"n": n, "k": k} for n, k in linears]),
        "HIPBMM_TOKENS": json.dumps(sorted({problem.m for problem in context.problems})),
        "HIPBMM_TERMINATION_LOG": home / "termination-log",
        "HIPBMM_POD_UID": home.name,
        "HIPBMM_METRICS_PORT": 0,
        "HIPBMM_HARVEST_SECONDS": 0.5,
        "HIPBMM_READ_SECONDS": 5,
    }
    env = context.child_env(online=True)
    # What the pod around the acceptance was asked to serve is not what this round trip serves.
    machine = ("HIPBMM_SYSFS", "HIPBMM_DEV", "HIPBMM_SIM_")
    env = {name: value for name, value in env.items() if not name.startswith("HIPBMM_") or name.startswith(machine)}
    return {**env, **{name: str(value) for name, value in settings.items()}}


def _wait_for(context: Context, problem: Problem) -> bool:
    """Whether the row of a problem comes to the store within the deadline."""
    clock, key = Clock(), context.key(problem)
    deadline = time.monotonic() + HARVEST_SECONDS
    while True:
        reader = Reader(Volume(), clock, context.identity.stack.key, 1.0)
        if table.merge(reader.shards(str(context.directory("store")))).best(key) is not None:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
