"""One pod as the decisions see it, parsed in observe/parse.py. Absent is not zero."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hipbmm_operator.pods import contract
from hipbmm_operator.pods.report import Report


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str
    started: datetime | None
    finished: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it ran."""
        return (self.finished - self.started).total_seconds() if self.started and self.finished else None


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod."""

    name: str
    ready: bool = False
    started: bool = False
    running: bool = False
    restarts: int = 0
    waiting: str = ""
    waiting_message: str = ""
    ended: Ended | None = None
    last: Ended | None = None
    begun: datetime | None = None
    """When its run of now began."""


_ABSENT = Container("")


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod."""

    name: str
    uid: str
    namespace: str
    revision: str
    template_hash: str
    node: str
    phase: str
    reason: str
    message: str
    deleting: bool
    ready: bool
    created: datetime | None
    unschedulable: str | None
    unschedulable_since: datetime | None
    containers: Mapping[str, Container] = field(default_factory=dict)
    report: Report | None = None
    ready_since: datetime | None = None
    not_ready_since: datetime | None = None
    not_ready: str = ""
    """Why it is not ready: a container beside the server is not, or a gate is not open."""
    scheduler: str = ""
    unheard_since: datetime | None = None
    """Since when it waits for the first word of its scheduler, or of its node's kubelet; None when both have spoken."""
    gates: tuple[str, ...] = ()
    """Scheduling gates that are not removed yet: the scheduler leaves the pod aside."""
    ends: datetime | None = None
    """By when one that is being deleted is to have ended."""

    def container(self, name: str) -> Container:
        """The container of that name; for one that is not there, one that does nothing and has done nothing."""
        return self.containers.get(name, _ABSENT)

    @property
    def live(self) -> bool:
        """Neither ended nor being deleted."""
        return not self.deleting and not self.over

    @property
    def over(self) -> bool:
        """It has ended: it holds nothing of its node."""
        return self.phase in ("Failed", "Succeeded")

    @property
    def begun(self) -> bool:
        """Its node has admitted it: it is ready, or a container of it has run."""
        return self.ready or any(each.running or each.ended or each.last for each in self.containers.values())

    @property
    def restarts(self) -> int:
        """How often its server was started again."""
        return self.container(contract.SERVER).restarts

    @property
    def run(self) -> str:
        """One start of its server."""
        return f"{self.uid}/{self.restarts}"

    @property
    def warming(self) -> bool:
        """Its `warm` runs now."""
        return self.live and self.container(contract.WARM).running

    @property
    def warmed(self) -> bool:
        """Its `warm` ended well."""
        ended = self.container(contract.WARM).ended
        return ended is not None and ended.exit_code == 0

    @property
    def warm(self) -> bool:
        """It serves with a complete table."""
        return self.ready and self.live and self.report is not None and self.report.complete


def leading(pods: Iterable[Pod]) -> Report | None:
    """The first report that is not complete, so that nothing is hidden, else the first; None without any."""
    reports = [pod.report for pod in pods if pod.report is not None]
    return next((report for report in reports if not report.complete), next(iter(reports), None))
