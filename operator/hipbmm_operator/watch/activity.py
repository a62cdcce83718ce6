"""TODO: what hipbmm_operator.watch.activity is."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.telemetry import metrics


@dataclass(slots=True)
class Activity:
    """When the API server last answered each watch; written by the watching thread, read by others."""

    watches: dict[str, Kind]
    """What is watched, by path: each kind in each namespace that is served, or in all."""
    completed: Callable[[], None]
    """Called once, when everything is being watched."""
    since: float = field(default_factory=time.monotonic)
    answered: dict[str, float] = field(default_factory=dict)

    def of(self, path: str) -> str | None:
        """The watch of a request's path. The server's own address may have a path of its own in front."""
        return next((watched for watched in self.watches if path.endswith(watched)), None)

    def answer(self, path: str) -> None:
        """A watch request on this path was answered."""
        watched = self.of(path)
        if watched is None:
            return
        was_complete = self.complete()
        self.answered[watched] = time.monotonic()
        if self.complete() and not was_complete:
            self.completed()
        metrics.WATCH_LAST.labels(self.watches[watched].plural).set_to_current_time()

    def silent(self, now: float) -> float:
        """Seconds since the answer to the watch that was answered longest ago."""
        return max((now - self.answered.get(path, self.since) for path in self.watches), default=0.0)

    def complete(self) -> bool:
        """Whether everything is being watched."""
        return len(self.answered) == len(self.watches)


def paths(kinds: Iterable[Kind], namespaces: Sequence[str]) -> dict[str, Kind]:
    """What to watch for these kinds in these namespaces (in all when there are none)."""
    return {
        kind.path(namespace): kind
        for kind in kinds
        for namespace in ((namespaces or ("",)) if kind.namespaced else ("",))
    }
