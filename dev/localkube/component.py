"""One process that the supervisor keeps running."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Component:
    """Name (also of its log file), command line, and additions to the environment."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
