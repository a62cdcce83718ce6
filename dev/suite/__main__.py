"""`python -m suite all|quick|lint|e2e|bench|soak|generate`: run stages, go on after a failure, end with one table."""

import os
import subprocess
import sys
import time
from pathlib import Path

from suite import plan
from suite.builds import Builds
from suite.stage import Outcome, Stage, table

_SETS = {
    "all": plan.full,
    "quick": lambda: plan.QUICK,
    "lint": lambda: plan.LINT,
    "generate": lambda: plan.GENERATE,
    "e2e": plan.e2e,
    "bench": plan.bench,
    "soak": plan.soak,
}


def run(stage: Stage, builds: Builds) -> Outcome:
    """Wait for what the stage needs, then run it with its output on ours."""
    began = time.monotonic()
    for name in stage.needs:
        if builds.wait(name):
            return Outcome(stage.name, 1, 0.0, time.monotonic() - began)
    started = time.monotonic()
    _say(f"\n=== {stage.name}: {' '.join(stage.command)}")
    code = subprocess.call(stage.command, env=os.environ | dict(stage.env))
    return Outcome(stage.name, code, time.monotonic() - started, started - began)


def main(argv: list[str]) -> int:
    """Run the named set; 0 when every stage ended well."""
    if len(argv) != 1 or argv[0] not in _SETS:
        _say(f"usage: python -m suite {'|'.join(_SETS)}")
        return 2
    stages = _SETS[argv[0]]()
    needed = {name for stage in stages for name in stage.needs}
    builds = Builds({name: command for name, command in plan.BUILDS.items() if name in needed}, Path("out"))
    try:
        outcomes = [run(stage, builds) for stage in stages]
    finally:
        builds.stop()
    _say("\n" + table(outcomes))
    failed = sum(outcome.code != 0 for outcome in outcomes)
    _say(f"stages: {len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
