"""One stage of the suite and its outcome: values only."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """A command of the suite.

    `needs` names builds of `suite.plan.BUILDS` that must have ended well before it starts.
    `env` is added to the environment.
    Stages of one `lane` run one after another, lanes side by side: those that compute beside those that wait.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    lane: str = "compute"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a stage; `seconds` is wall time without waiting for builds, `waited` is that waiting."""

    name: str
    code: int
    seconds: float
    waited: float = 0.0

    @property
    def word(self) -> str:
        """One word for the table."""
        return "ok" if self.code == 0 else f"FAILED ({self.code})"


def lanes(stages: Sequence[Stage]) -> tuple[tuple[Stage, ...], ...]:
    """The stages by lane, in their order; lanes in the order of their first stage."""
    names = dict.fromkeys(stage.lane for stage in stages)
    return tuple(tuple(stage for stage in stages if stage.lane == name) for name in names)


def table(outcomes: Sequence[Outcome]) -> str:
    """A readable table of all outcomes."""
    width = max((len(o.name) for o in outcomes), default=5)
    lines = [f"{'stage':<{width}}  {'outcome':<12} {'seconds':>8} {'waited':>8}"]
    lines += [f"{o.name:<{width}}  {o.word:<12} {o.seconds:>8.1f} {o.waited:>8.1f}" for o in outcomes]
    return "\n".join(lines)
