"""One stage of the suite and its outcome: values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """A command of the suite.

    `needs` names builds of `suite.plan.BUILDS` that must have ended well before it starts.
    `env` is added to the environment.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


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


def table(outcomes: list[Outcome]) -> str:
    """A readable table of all outcomes."""
    width = max((len(o.name) for o in outcomes), default=5)
    lines = [f"{'stage':<{width}}  {'outcome':<12} {'seconds':>8} {'waited':>8}"]
    lines += [f"{o.name:<{width}}  {o.word:<12} {o.seconds:>8.1f} {o.waited:>8.1f}" for o in outcomes]
    return "\n".join(lines)
