"""One pod as the decisions see it: parsed defensively from its pruned object. Absent is not zero."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.times import moment
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.report import Report, parse_report


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
    not_ready_since: datetime | None = None

    @property
    def live(self) -> bool:
        """Neither ended nor being deleted."""
        return not self.deleting and self.phase not in ("Failed", "Succeeded")

    @property
    def warming(self) -> bool:
        """Its `warm` runs now."""
        warm = self.containers.get(contract.WARM)
        return self.live and warm is not None and warm.running

    @property
    def warmed(self) -> bool:
        """Its `warm` ended well."""
        warm = self.containers.get(contract.WARM)
        return warm is not None and warm.ended is not None and warm.ended.exit_code == 0

    @property
    def warm_finished(self) -> datetime | None:
        """When its `warm` ended; None when it has not, or Kubernetes does not say."""
        warm = self.containers.get(contract.WARM)
        return warm.ended.finished if warm is not None and warm.ended is not None else None

    @property
    def warm(self) -> bool:
        """It serves with a complete table."""
        return self.ready and self.live and self.report is not None and self.report.complete


def parse(body: Json) -> Pod:
    """A pod from its (pruned) object."""
    metadata, status = _object(body.get("metadata")), _object(body.get("status"))
    annotations, labels = _object(metadata.get("annotations")), _object(metadata.get("labels"))
    conditions = {str(entry.get("type")): entry for entry in _objects(status.get("conditions"))}
    scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("Ready", {})
    unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    containers = {
        container.name: container
        for key in ("initContainerStatuses", "containerStatuses")
        for container in map(_container, _objects(status.get(key)))
    }
    return Pod(
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        namespace=str(metadata.get("namespace", "")),
        revision=str(annotations.get(names.ANNOTATION_REVISION, "")),
        template_hash=str(labels.get("pod-template-hash", "")),
        node=str(_object(body.get("spec")).get("nodeName") or ""),
        phase=str(status.get("phase", "")),
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or ""),
        deleting=bool(metadata.get("deletionTimestamp")),
        ready=ready.get("status") == "True",
        created=moment(metadata.get("creationTimestamp")),
        unschedulable=str(scheduled.get("message") or "") if unschedulable else None,
        unschedulable_since=moment(scheduled.get("lastTransitionTime")) if unschedulable else None,
        containers=containers,
        report=_report(containers.get(contract.WARM)),
        not_ready_since=moment(ready.get("lastTransitionTime")) if ready.get("status") == "False" else None,
    )


def _report(warm: Container | None) -> Report | None:
    """The report of the last `warm` that ended. A restarted pod sandbox runs it again: then the new one counts."""
    if warm is None:
        return None
    ended = warm.ended or warm.last
    return parse_report(ended.message) if ended else None


def _container(status: Json) -> Container:
    state = _object(status.get("state"))
    waiting = _object(state.get("waiting"))
    return Container(
        name=str(status.get("name", "")),
        ready=status.get("ready") is True,
        started=status.get("started") is True,
        running="running" in state,
        restarts=status["restartCount"] if isinstance(status.get("restartCount"), int) else 0,
        waiting=str(waiting.get("reason") or ""),
        waiting_message=str(waiting.get("message") or ""),
        ended=_ended(state.get("terminated")),
        last=_ended(_object(status.get("lastState")).get("terminated")),
    )


def _ended(raw: object) -> Ended | None:
    if not isinstance(raw, dict):
        return None
    code = raw.get("exitCode")
    return Ended(
        exit_code=code if isinstance(code, int) else -1,
        reason=str(raw.get("reason") or ""),
        message=str(raw.get("message") or ""),
        started=moment(raw.get("startedAt")),
        finished=moment(raw.get("finishedAt")),
    )


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
