"""What is wrong with a pod, in one word of ours and in the words of Kubernetes. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from hipbmm_operator.api.reasons import Foreign, Image, Reason, Scheduling
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Container, Ended, Pod
from hipbmm_operator.pods.report import WORD, parse_report

IMAGE_REASONS: frozenset[str] = frozenset(get_args(Image))
SCHEDULING_REASONS: frozenset[str] = frozenset(get_args(Scheduling))

_VOLUMES = (
    "persistentvolume",
    "persistent volume",
    "pvc(s)",
    "max volume count",
    "binding volumes",
    "free storage",
    "available disk",
    "csi driver",
)
"""Words of the scheduler's plugins for volumes. It asks them about nodes with room, so they come before what misses."""
_ELSEWHERE = re.compile(
    r"unbound immediate persistentvolumeclaims|persistentvolume's node affinity|volume node affinity|volume zone"
    r"|satisfy plugin[^.,]*volumebinding[^.,]*"
)
"""That a volume is on other nodes, or not there yet: where nodes have no room, these are to be mended, not it."""
_SCHEDULING: tuple[tuple[str, Scheduling], ...] = (
    *((needle, "StorageNotReady") for needle in _VOLUMES),
    ("insufficient amd.com/", "InsufficientGPU"),
    ("cannot allocate all claims", "InsufficientGPU"),
    ("insufficient ", "InsufficientResources"),
    ("too many pods", "InsufficientResources"),
    ("anti-affinity", "AntiAffinity"),
    ("topology spread constraints", "TopologySpread"),
    ("were unschedulable", "NodesCordoned"),
    ("untolerated taint", "UntoleratedTaint"),
    ("node affinity", "NoMatchingNodes"),
    ("node(s) didn't match", "NoMatchingNodes"),
    ("satisfy plugin", "NoMatchingNodes"),
    ("no nodes available", "NoMatchingNodes"),
)
_NO_ROOM: tuple[Scheduling, ...] = ("InsufficientGPU", "InsufficientResources")
_PULL = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_BACK_OFF = "CrashLoopBackOff"
_HARMLESS = frozenset({"", "PodInitializing", "ContainerCreating", _BACK_OFF})
"""What a container waits for when all is well, or when how it ended says more. Any other word is the kubelet's or the
container runtime's for why it cannot start, and new ones come."""
_BACK_OFF_CAUSE = re.compile(r'^Back-off pulling image "[^"]*"(?:: (?:ErrImagePull: )?)?')
_NAMES = re.compile(r'"[^"]*"|\S*[/@]\S*|\[[0-9a-f:]+\]|(?:[\w-]+\.)+[\w-]+(?::\d+)?|(?<=reading manifest )\S+')
"""Names of images, registries and files in a message, and addresses: a tag may be called 404, a repository or the host
of a registry `denied`, and its port may be 403."""
_CHOSEN = re.compile(r'"[^"]*"|\{[^}]*\}')
"""Names and taints in a message of the scheduler: a taint may be called {team: anti-affinity}."""
_REFERENCE = re.compile(r'^(secret|configmap) "|\bin (secret|configmap) \S+$')
"""What a container refers to and the kubelet does not find: a ConfigMap may be called `secret`, and a key, too."""
_UNAUTHORIZED = re.compile(
    r"\b(?:401|403|unauthorized|forbidden|(?<!permission )denied|(?<!proxy )authentication required"
    r"|no basic auth)\b"
)
_NOT_FOUND = re.compile(r"\b(?:404|(?<!file )not found|(?:manifest|name) unknown|not present with pull policy)\b")
_NOT_THE_REGISTRY = re.compile(
    r"proxyconnect|no match for platform in manifest|content digest|(?<![\w:-])snapshot|lease does not exist"
)
"""What a proxy refuses, what is there for other platforms only, and what containerd has lost on the node's own disk."""
UNBOUND = timedelta(seconds=45)
"""Provisioners need up to so long for a new claim, more when many ask; one that is not bound by then is a problem."""
UNHEARD = timedelta(minutes=2)
"""Schedulers and kubelets act within seconds, and in a large cluster that starts anew within a minute."""
_NOT_READY = timedelta(seconds=30)
_BESIDE = timedelta(minutes=2)
"""What others add to a pod takes its time when all is well: a load balancer asks for its health several times."""
_STARTUP_SLACK_SECONDS = 15
_OUTLIVED_SECONDS = 30
"""More than the times of two crashes in the same step differ by."""
_STOPPED_BY_KUBELET = frozenset({137, 143})
_RANKS = {contract.PAYLOAD: 0, contract.WARM: 1, contract.SERVER: 2, contract.HARVEST: 3, None: 4}


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is wrong now."""

    pod: str
    container: str | None
    reason: Reason | Foreign
    message: str
    exit_code: int | None = None
    time: datetime | None = None


def of_pods(pods: Sequence[Pod], startup_seconds: float, now: datetime) -> list[Failure]:
    """All failures of pods that are not being deleted, most telling first. `startup_seconds` may be infinite."""
    found = [failure for pod in pods if not pod.deleting for failure in of_pod(pod, startup_seconds, now)]
    return sorted(found, key=lambda each: (_RANKS.get(each.container, len(_RANKS)), each.pod, each.container or ""))


def of_pod(pod: Pod, startup_seconds: float, now: datetime) -> Iterator[Failure]:
    """Failures of one pod."""
    if pod.phase == "Failed" and pod.reason:
        yield Failure(pod.name, None, _failed_reason(pod.reason), pod.message or f"pod failed: {pod.reason}")
        return
    reason, bound_by = scheduling_reason(pod), _bound_by(pod)
    if reason is not None and pod.unschedulable is not None and (bound_by is None or bound_by <= now):
        yield Failure(pod.name, None, reason, with_second_cause(pod.unschedulable), time=pod.unschedulable_since)
    failures = [_of_container(pod, container, startup_seconds, now) for container in pod.containers.values()]
    yield from filter(None, failures if any(failures) else [_beside_its_server(pod, now)])


def pull_is_refused(pod: Pod) -> bool:
    """Whether an image of the pod cannot be pulled for lack of credentials, as far as its status says."""
    if not pod.live:
        return False
    waiting = [container for container in pod.containers.values() if container.waiting in _PULL]
    # While a pull backs off, the status may not repeat why it failed.
    return any(image_reason(_pull_message(each)) in ("ImagePullUnauthorized", None) for each in waiting)


def scheduling_reason(pod: Pod) -> Scheduling | None:
    """Why a pod has no node: the cause that excludes the nodes that come nearest; None when it has one."""
    if pod.unschedulable is None:
        return None
    if pod.gates:
        return "SchedulingGated"
    return unschedulable_reason(pod.unschedulable)


def unschedulable_reason(message: str) -> Scheduling:
    """The cause that a scheduler's message names, of several the one to mend."""
    return _causes(message)[0]


def with_second_cause(message: str) -> str:
    """The message, and the second reason where both a volume and the room on nodes keep a pod from them."""
    second = "".join(f" (also {reason})" for reason in _causes(message)[1:])
    return f"{message}{second}"


def _causes(message: str) -> list[Scheduling]:
    """The cause to mend, and a second one where it is of the other kind: a volume, or no room."""
    # What the preemption finds repeats causes of nodes that it cannot help.
    text, elsewhere = _ELSEWHERE.subn(" ", without_names(message).lower().partition("preemption:")[0])
    found = [reason for needle, reason in _SCHEDULING if needle in text]
    first: Scheduling = next(iter(found), "Unschedulable")
    if elsewhere:
        return [first, "StorageNotReady"] if first in _NO_ROOM else ["StorageNotReady"]
    return [first, *[each for each in found if each in _NO_ROOM][:1]] if first == "StorageNotReady" else [first]


def unheard(pod: Pod, now: datetime) -> Failure | None:
    """That nobody acts on a pod: no condition, no container status and no Event would ever say so."""
    if not pod.live or pod.ready or not _overdue(_heard_by(pod), now):
        return None
    if pod.node:
        message = f"the kubelet of node {pod.node} has not taken the pod: see `kubectl describe node {pod.node}`"
        return Failure(pod.name, None, "NodeNotResponding", message, time=pod.unheard_since)
    message = (
        f"no scheduler has looked at the pod: does {pod.scheduler or 'the scheduler'} run? (schedulerName of"
        " spec.podTemplate.spec; without it default-scheduler)"
    )
    return Failure(pod.name, None, "SchedulerNotResponding", message, time=pod.unheard_since)


def without_names(message: str) -> str:
    """A message of the scheduler without what people chose."""
    return _CHOSEN.sub(" ", message)


def image_reason(message: str) -> Image | None:
    """Why a pull failed; None when the message does not say (a bare back-off)."""
    text = _NAMES.sub(" ", message.lower())
    if _NOT_THE_REGISTRY.search(text):
        return "ImagePullFailed"
    if _UNAUTHORIZED.search(text):
        return "ImagePullUnauthorized"
    if _NOT_FOUND.search(text):
        return "ImageNotFound"
    return "ImagePullFailed" if message else None


def refused_by_node(pod: Pod) -> Reason | Foreign | None:
    """Why the kubelet did not take a pod: what it asks for is not free on the node, or not together; None otherwise.

    The words are those of k8s.io/kubernetes, pkg/kubelet: lifecycle/predicate.go, cm/topologymanager, cm/devicemanager.
    """
    if pod.phase != "Failed":
        return None
    taken = pod.reason == "UnexpectedAdmissionError" and "devices unavailable" in pod.message
    refused = taken or pod.reason == "TopologyAffinityError" or pod.reason.startswith("OutOf")
    return _failed_reason(pod.reason) if refused else None


def _of_container(pod: Pod, container: Container, startup_seconds: float, now: datetime) -> Failure | None:
    if container.waiting in _PULL:
        message = _pull_message(container)
        return Failure(pod.name, container.name, image_reason(message) or "ImagePullFailed", message)
    if container.waiting == "InvalidImageName":
        return Failure(pod.name, container.name, "InvalidImageName", container.waiting_message)
    if container.waiting not in _HARMLESS:
        return Failure(pod.name, container.name, _config_reason(container), container.waiting_message)
    ended = _bad_end(container, now)
    if ended is not None:
        reason = _ended_reason(pod, container.name, ended, startup_seconds)
        message = _ended_message(container, ended)
        return Failure(pod.name, container.name, reason, message, ended.exit_code, ended.finished)
    return _not_ready(pod, container, now)


def _failed_reason(reason: str) -> Reason | Foreign:
    """The reason of a failed pod as a condition takes it: the kubelet also says `OutOfamd.com/gpu`."""
    if reason.startswith("OutOf"):
        return "OutOfGPU" if "amd.com/" in reason else "OutOfResources"
    return Foreign(reason) if WORD.fullmatch(reason) else "PodFailed"


def _pull_message(container: Container) -> str:
    return _BACK_OFF_CAUSE.sub("", container.waiting_message)


def _config_reason(container: Container) -> Reason | Foreign:
    message = container.waiting_message.lower().strip()
    found = _REFERENCE.search(message)
    if found and ("not found" in message or "couldn't find key" in message):
        return "SecretNotFound" if "secret" in (found[1], found[2]) else "ConfigMapNotFound"
    if "run as non-root" in message or "runasnonroot" in message:
        return "RunAsNonRootRefused"
    return Foreign(container.waiting) if WORD.fullmatch(container.waiting) else "ContainerFailed"


def _bad_end(container: Container, now: datetime) -> Ended | None:
    """The end that keeps the container from working now: of this run, or of the last one while the new is not ready."""
    works = container.ready or _overdue(_outlives_by(container), now)
    ended = container.ended or (None if works else container.last)
    return ended if ended is not None and (ended.exit_code or _ends_again(container)) else None


def _outlives_by(container: Container) -> datetime | None:
    """When a tuner has run for longer than when it crashed: it has come past what it crashed in, and may need an hour.

    It is not ready before it ends. None for one that has not crashed, or that does not run.
    """
    before = container.last.seconds if container.last is not None else None
    if container.name != contract.WARM or container.begun is None or before is None:
        return None
    return container.begun + timedelta(seconds=before + _OUTLIVED_SECONDS)


def _ends_again(container: Container) -> bool:
    """Whether it is one that has to run on, and does not, though it ends well: `vllm serve --help` is started again."""
    return container.waiting == _BACK_OFF or (container.name == contract.SERVER and container.restarts > 1)


def _ended_reason(pod: Pod, name: str, ended: Ended, startup_seconds: float) -> Reason | Foreign:
    if ended.reason == "OOMKilled":
        return "OOMKilled"
    if name == contract.WARM:
        report = parse_report(ended.message)
        return report.reason if report else "TunerCrashed"
    if name == contract.PAYLOAD:
        return "PayloadFailed"
    if name == contract.SERVER:
        late = ended.seconds is not None and ended.seconds >= startup_seconds - _STARTUP_SLACK_SECONDS
        killed = ended.exit_code in _STOPPED_BY_KUBELET
        return "StartupDeadlineExceeded" if killed and late and not _served(pod, ended) else "ServerCrashed"
    return "ContainerFailed"


def _served(pod: Pod, ended: Ended) -> bool:
    """Whether the server was ready in the run that ended: then the pod ceased to be ready in it.

    Kubelets say so a moment later; what is later still is of the run that followed.
    """
    since, began, end = pod.not_ready_since, ended.started, ended.finished
    return bool(since and began and end and began < since <= end + timedelta(seconds=_STARTUP_SLACK_SECONDS))


def _ended_message(container: Container, ended: Ended) -> str:
    report = parse_report(ended.message) if container.name == contract.WARM else None
    text = report.message if report else ended.message.strip()
    how = f"exit code {ended.exit_code}" + (f" ({ended.reason})" if ended.reason not in ("", "Error") else "")
    return f"{how}: {text[-900:]}" if text else how


def _not_ready(pod: Pod, container: Container, now: datetime) -> Failure | None:
    """A server that has started and then fails its readiness probe for a while."""
    if container.name != contract.SERVER or container.ready or not _overdue(_ready_by(pod, container), now):
        return None
    message = "the server has started but /health does not answer"
    return Failure(pod.name, container.name, "NotReady", message, time=pod.not_ready_since)


def _beside_its_server(pod: Pod, now: datetime) -> Failure | None:
    """A pod that is not ready for a while though its server is: by what others add to it, or its node is lost."""
    server = pod.container(contract.SERVER)
    if not server.ready or not _overdue(_ready_by(pod, server), now):
        return None
    why = pod.not_ready or f"node {pod.node} may not answer"
    message = f"the server is ready but its pod is not: {why}"
    return Failure(pod.name, None, "NotReady", message, time=pod.not_ready_since)


def _overdue(limit: datetime | None, now: datetime) -> bool:
    return limit is not None and limit <= now


def _ready_by(pod: Pod, server: Container) -> datetime | None:
    """Until when a pod may be without readiness; None for one whose server does not run, or that is ready."""
    if pod.not_ready_since is None or pod.ready or not (server.started and server.running):
        return None
    return pod.not_ready_since + (_BESIDE if server.ready and pod.not_ready else _NOT_READY)


def waits_for_claim(pod: Pod) -> bool:
    """Whether the scheduler leaves the pod aside until a claim of it is bound, and names nothing else."""
    text = pod.unschedulable or ""
    return "unbound immediate persistentvolumeclaims" in text.lower() and _causes(text) == ["StorageNotReady"]


def _bound_by(pod: Pod) -> datetime | None:
    """Until when a pod may wait for its claim; None for one that waits for none."""
    since = pod.unschedulable_since
    return since + UNBOUND if since is not None and waits_for_claim(pod) else None


def _heard_by(pod: Pod) -> datetime | None:
    """Until when nobody has to act on a pod; None for one on which somebody has."""
    return pod.unheard_since + UNHEARD if pod.unheard_since is not None else None


def next_change(pod: Pod, now: datetime) -> float | None:
    """Seconds after which time alone makes a pod a failing one, or no longer one; None when it does not."""
    server, warm = pod.container(contract.SERVER), pod.container(contract.WARM)
    limits = (_bound_by(pod), _heard_by(pod), _ready_by(pod, server), _outlives_by(warm)) if pod.live else ()
    return min(((limit - now).total_seconds() for limit in limits if limit is not None and limit > now), default=None)
