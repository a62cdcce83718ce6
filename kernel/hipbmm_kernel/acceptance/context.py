"""What the checks share: this container's identity, the problems, a scratch directory, what earlier checks saw."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hipbmm_kernel.acceptance import supervision
from hipbmm_kernel.acceptance.report import Evidence, Verdict
from hipbmm_kernel.acceptance.supervision import ChildRun
from hipbmm_kernel.contract.settings import CONTRACT_ENV, ONLINE_TUNING, SERVED_NAME
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.identity.gpu import visible_gpus
from hipbmm_kernel.rows.gemm import MAX_M, Problem, key_of


class Context(NamedTuple):
    """`root` is an empty directory on local disk. `seen` holds the verdicts of the checks that ran before, by name."""

    root: Path
    env: Mapping[str, str]
    identity: Identity
    problems: tuple[Problem, ...]
    seen: dict[str, Verdict]

    def directory(self, name: str) -> Path:
        """A directory below `root`, made when it is not there."""
        path = self.root / name
        path.mkdir(exist_ok=True)
        return path

    def table(self, name: str) -> Path:
        """AITER's table in the directory of that name."""
        return self.directory(name) / SERVED_NAME

    def child_env(self, *, online: bool) -> dict[str, str]:
        """The contract's flags on, online tuning exactly on or off, one GPU visible."""
        env = {**self.env, **CONTRACT_ENV}
        env["HIP_VISIBLE_DEVICES"] = next(iter(visible_gpus(self.env, 1)), "0")
        env.pop("CUDA_VISIBLE_DEVICES", None)
        if not online:
            del env[ONLINE_TUNING]
        return env

    def child(
        self, program: str, directory: str, seconds: float, *, online: bool = True, **arguments: object
    ) -> ChildRun:
        """Run a child program in the directory of that name. Never raises for what the child does."""
        command = supervision.child_command(program, arguments, parent=os.getpid())
        end = supervision.run_command(command, self.directory(directory), self.child_env(online=online), seconds)
        return ChildRun(end, supervision.parse_answers(end.stdout))

    def unplanned(self) -> Problem:
        """A problem of the first one's linear with a number of tokens that no problem has."""
        taken = {problem.m for problem in self.problems}
        return self.problems[0]._replace(m=next(m for m in range(1, MAX_M) if m not in taken))

    def key(self, problem: Problem) -> str:
        """The 18 columns of a problem on this stack. ValueError when the FP8 type is unknown."""
        return key_of(problem, self.identity.stack.fp8_column)

    def evidence(self, check: str) -> Evidence:
        """What an earlier check saw."""
        return self.seen[check].evidence
