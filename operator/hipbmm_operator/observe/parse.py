"""Bodies of the API become values here, once. What is absent is None or empty and never a zero that was not said."""

import re
from collections.abc import Sequence

from hipbmm_operator.kube import metadata, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata, as_object, as_objects, object_at
from hipbmm_operator.kube.text import printable
from hipbmm_operator.kube.times import moment
from hipbmm_operator.mirror.state import MirrorMap
from hipbmm_operator.observe.observed import Child, Deployment
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Container, Ended, Pod
from hipbmm_operator.pods.report import Report, parse_report
from hipbmm_operator.profiles import pods as profile_pods
from hipbmm_operator.profiles.pods import ForeignPod
from hipbmm_operator.resources.controller_revision import Revision
from hipbmm_operator.resources.volume_claim import StoredClaim

_STATUSES = ("initContainerStatuses", "containerStatuses")


def child(body: Json) -> Child:
    """A Service, a PodDisruptionBudget or a ServiceMonitor."""
    return Child(metadata.parse(body), body.get("spec"))


def deployment(body: Json) -> Deployment:
    """The Deployment of the replicas."""
    seen, spec = child(body), as_object(body.get("spec"))
    status = as_object(body.get("status"))
    known = status.get("observedGeneration", seen.meta.generation) == seen.meta.generation
    conditions = metadata.conditions(status)
    # The newest ReplicaSet stays that when only figures have changed since, and nothing else shows a restart.
    newest = _newest_hash(_text(conditions.get("Progressing", {}).get("message")))
    if not known:
        conditions = {}  # those of a former generation say nothing about what was asked for since
    progress = conditions.get("Progressing", {})
    refused = conditions.get("ReplicaFailure", {})
    if progress.get("reason") == "ReplicaSetCreateError":
        refused = {**progress, "status": "True"}  # not even the ReplicaSet of the template is let in
    rolling = object_at(spec, "strategy", "rollingUpdate")
    annotations = seen.meta.annotations
    replicas = spec.get("replicas", 1)
    return Deployment(
        meta=seen.meta,
        spec=seen.spec,
        replicas=replicas if isinstance(replicas, int) else 1,
        rolling=bool(rolling),
        in_place=rolling.get("maxSurge") == 0 and rolling.get("maxUnavailable") == 1,
        released=annotations.get(names.ANNOTATION_RELEASED) == "true",
        revision=annotations.get(names.ANNOTATION_REVISION, ""),
        content=annotations.get(names.ANNOTATION_CONTENT, ""),
        template=_template(as_object(spec.get("template"))),
        refusal=_text(refused.get("message")) if refused.get("status") == "True" else None,
        refused_since=moment(refused.get("lastTransitionTime")),
        newest_hash=newest,
        overdue_since=moment(progress.get("lastTransitionTime"))
        if progress.get("reason") == "ProgressDeadlineExceeded"
        else None,
    )


def _newest_hash(message: str) -> str:
    """The pod-template-hash of the newest ReplicaSet, which the condition Progressing names; "" when it does not."""
    named = re.search(r'[Rr]eplica ?[Ss]et "[^"]*-([a-z0-9]+)"', message)
    return named[1] if named else ""


def _template(raw: Json) -> Json:
    """A pod template as it was rendered: the API server adds more metadata to it."""
    kept = {key: value for key, value in as_object(raw.get("metadata")).items() if key in ("labels", "annotations")}
    return {**raw, "metadata": kept} if raw else {}


def claim(body: Json) -> StoredClaim:
    """The PersistentVolumeClaim of the store."""
    spec, status = as_object(body.get("spec")), as_object(body.get("status"))
    storage_class = spec.get("storageClassName")
    return StoredClaim(
        meta=metadata.parse(body),
        phase=str(status.get("phase", "")),
        modes=_texts(status.get("accessModes")),
        asked_modes=_texts(spec.get("accessModes")),
        storage_class=None if storage_class is None else str(storage_class),
        size=str(object_at(spec, "resources", "requests").get("storage", "")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(sorted(map(str, value))) if isinstance(value, list) else ()


def revision(body: Json, owner: Metadata) -> Revision | None:
    """A stored template of a resource or an orphan of it; None for a ControllerRevision of another, or without one."""
    meta, template = metadata.parse(body), as_object(body.get("data")).get("template")
    if not isinstance(template, dict) or not meta.writable_for(owner):
        return None
    return Revision(
        name=meta.name,
        number=int(body.get("revision") or 0),
        contents=tuple(part for part in meta.annotations.get(names.ANNOTATION_CONTENT, "").split(",") if part),
        template=template,
        meta=meta,
    )


def mirror_map(body: Json) -> MirrorMap:
    """A ConfigMap of a mirror, from the summary of it that is kept in memory."""
    return MirrorMap(metadata.parse(body), **body["content"])


def pod(body: Json) -> Pod:
    """A pod, from the part of it that is kept in memory."""
    meta, spec, status = metadata.parse(body), as_object(body.get("spec")), as_object(body.get("status"))
    conditions = metadata.conditions(status)
    scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("Ready", {})
    waits = scheduled.get("status") == "False"
    gates = tuple(_text(gate.get("name")) for gate in as_objects(spec.get("schedulingGates")))
    found = (_container(raw) for key in _STATUSES for raw in as_objects(status.get(key)))
    containers = {container.name: container for container in found}
    return Pod(
        name=meta.name,
        uid=meta.uid,
        namespace=meta.namespace,
        revision=str(meta.annotations.get(names.ANNOTATION_REVISION, "")),
        template_hash=str(meta.labels.get("pod-template-hash", "")),
        node=_text(spec.get("nodeName")),
        phase=_text(status.get("phase")),
        reason=_text(status.get("reason")),
        message=_text(status.get("message")),
        deleting=meta.deleting,
        ends=moment(object_at(body, "metadata").get("deletionTimestamp")),
        ready=ready.get("status") == "True",
        created=meta.created,
        unschedulable=_unschedulable(scheduled, gates) if waits else None,
        unschedulable_since=moment(scheduled.get("lastTransitionTime")) if waits else None,
        scheduler=_text(spec.get("schedulerName")),
        unheard_since=None if waits or containers else moment(scheduled.get("lastTransitionTime")) or meta.created,
        gates=gates,
        containers=containers,
        report=_report(containers[contract.WARM]) if contract.WARM in containers else None,
        ready_since=moment(ready.get("lastTransitionTime")) if ready.get("status") == "True" else None,
        not_ready_since=moment(ready.get("lastTransitionTime")) if ready.get("status") == "False" else None,
        not_ready=_text(ready.get("message")),
    )


def foreign_pod(body: Json) -> ForeignPod:
    """A pod that somebody else made, whole."""
    kernel = profile_pods.kernel_of(body)
    return ForeignPod(
        pod=pod(profile_pods.with_our_names(body)),
        body=body,
        image=str(profile_pods.server(body).get("image", "")),
        workload=profile_pods.workload(metadata.parse(body)),
        injected=kernel is not None,
        kernel=kernel or "",
    )


def _unschedulable(scheduled: Json, gates: Sequence[str]) -> str:
    """What the scheduler says, with the names of gates: the API server only counts them."""
    return " ".join((_text(scheduled.get("message")) or _text(scheduled.get("reason")), *gates))


def _report(warm: Container) -> Report | None:
    """The report of the last `warm` that ended. A restarted pod sandbox runs it again: then the new one counts."""
    ended = warm.ended or warm.last
    return parse_report(ended.message) if ended else None


def _container(status: Json) -> Container:
    state = as_object(status.get("state"))
    waiting = as_object(state.get("waiting"))
    restarts = status.get("restartCount")
    return Container(
        name=_text(status.get("name")),
        ready=status.get("ready") is True,
        started=status.get("started") is True,
        running="running" in state,
        restarts=restarts if isinstance(restarts, int) else 0,
        waiting=_text(waiting.get("reason")),
        waiting_message=_text(waiting.get("message")),
        ended=_ended(state.get("terminated")),
        last=_ended(as_object(status.get("lastState")).get("terminated")),
        begun=moment(object_at(state, "running").get("startedAt")),
    )


def _ended(raw: object) -> Ended | None:
    if not isinstance(raw, dict):
        return None
    code = raw.get("exitCode")
    return Ended(
        exit_code=code if isinstance(code, int) else -1,
        reason=_text(raw.get("reason")),
        message=_text(raw.get("message")),
        started=moment(raw.get("startedAt")),
        finished=moment(raw.get("finishedAt")),
    )


def _text(value: object) -> str:
    return printable(str(value or ""))
