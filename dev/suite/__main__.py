"""`python -m suite all|quick|lint|coverage|e2e|bench|soak|compat|generate`: run stages, then print one table."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from suite import plan
from suite.builds import Builds
from suite.following import follow, say
from suite.stage import Outcome, Stage, lanes, table

_SETS = {
    "all": plan.full,
    "quick": lambda: plan.QUICK,
    "lint": lambda: plan.LINT,
    "coverage": lambda: plan.COVERAGE,
    "generate": lambda: plan.GENERATE,
    "e2e": plan.e2e,
    "bench": plan.bench,
    "soak": plan.soak,
    "compat": plan.compat,
}


_OUT = Path("out")


def run(stage: Stage, builds: Builds, *, alone: bool) -> Outcome:
    """Wait for what the stage needs, then run it.

    Its output is ours when it runs `alone`; beside another lane's it goes to out/<stage>.log, to be shown in one piece.
    """
    began = time.monotonic()
    for name in stage.needs:
        if builds.wait(name):
            return Outcome(stage.name, 1, 0.0, time.monotonic() - began)
    started = time.monotonic()
    title = f"\n=== {stage.name}: {' '.join(stage.command)}"
    environment = os.environ | dict(stage.env)
    if alone:
        say(title)
        code = subprocess.call(stage.command, env=environment)
    else:
        log = _OUT / f"{stage.name}.log"
        say(f"... {stage.name} starts (out/{log.name})")
        with log.open("wb") as output:
            process = subprocess.Popen(stage.command, env=environment, stdout=output, stderr=subprocess.STDOUT)
            code = follow(process, stage.name, log)
        say(f"{title}\n{log.read_text(errors='replace').rstrip()}")
    return Outcome(stage.name, code, time.monotonic() - started, started - began)


def run_all(stages: Sequence[Stage], builds: Builds) -> list[Outcome]:
    """Run the lanes side by side; outcomes lane by lane."""
    of_lanes = lanes(stages)
    alone = len(of_lanes) == 1

    def run_lane(lane: Sequence[Stage]) -> list[Outcome]:
        return [run(stage, builds, alone=alone) for stage in lane]

    with ThreadPoolExecutor(max_workers=max(1, len(of_lanes))) as pool:
        return [outcome for outcomes in pool.map(run_lane, of_lanes) for outcome in outcomes]


def main(argv: list[str]) -> int:
    """Run the named set; 0 when every stage ended well."""
    if len(argv) != 1 or argv[0] not in _SETS:
        say(f"usage: python -m suite {'|'.join(_SETS)}")
        return 2
    stages = _SETS[argv[0]]()
    needed = {name for stage in stages for name in stage.needs}
    builds = Builds({name: command for name, command in plan.BUILDS.items() if name in needed}, _OUT)
    try:
        outcomes = run_all(stages, builds)
    finally:
        builds.stop()
    say("\n" + table(outcomes))
    failed = sum(outcome.code != 0 for outcome in outcomes)
    say(f"stages: {len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
