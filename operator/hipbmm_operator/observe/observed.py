"""The state of the cluster around one resource, as one value that decisions are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hipbmm_operator.detect.node_fit import HardwareSummary
from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.mirror.state import MirrorState
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.pods.report import TUNED, Progress, ServedFrom, Start
from hipbmm_operator.resources.circumstances import Circumstances
from hipbmm_operator.resources.controller_revision import Revision
from hipbmm_operator.resources.references import Keys
from hipbmm_operator.resources.volume_claim import StoredClaim

NO_PULL_SECRET = "FailedToRetrieveImagePullSecret"
"""The kubelet's Event about a pull secret that is not there."""
UNPLACED = "FailedScheduling"
"""A scheduler's Event about a pod that it finds no node for."""


@dataclass(frozen=True, slots=True)
class Child:
    """A child that is written by server-side apply. `spec` is opaque: only apply/ compares an intent with it."""

    meta: Metadata
    spec: object


@dataclass(frozen=True, slots=True)
class Deployment(Child):
    """The Deployment. `revision` and `content` are what the operator noted on it, "" when it did not.

    `rolling`: its strategy has figures; `in_place`: with them it stops a pod before it starts another. `refusal`: why
    Kubernetes does not let it create pods. `overdue_since`: when its rollout exceeded the progress deadline.
    `newest_hash` is the pod-template-hash of its newest ReplicaSet as far as Kubernetes has seen the Deployment; ""
    when it does not say.
    """

    replicas: int
    rolling: bool
    in_place: bool
    released: bool
    revision: str
    content: str
    template: Json
    refusal: str | None
    refused_since: datetime | None
    overdue_since: datetime | None
    newest_hash: str


@dataclass(frozen=True, slots=True)
class ServiceMonitorState:
    """`live` is the ServiceMonitor, `served` whether the cluster knows the kind, as far as it was asked."""

    live: Child | None = None
    served: bool = True
    again: float | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What Kubernetes says in an Event about an object, where the status of the object does not."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class OnDemandFacts:
    """What was read besides the watched objects, and the seconds after which to read again.

    `stalled`: the progress has not moved for longer than can be expected. `starts` says by uid of the pod how a
    crashed server was started again, `notes` has Events by uid of their object. `storage_class`: whether the class of
    an unbound claim exists, None when it was not asked. `config`: digest of the ConfigMaps that the spec refers to, ""
    when it refers to none or they cannot be read, `keys`: theirs by kind and name, None of one that is not there.
    `served_from`: by uid of the pod, what its server's processes serve from.
    """

    progress: Progress | None = None
    stalled: bool = False
    starts: Mapping[str, Start] = field(default_factory=dict)
    served_from: Mapping[str, ServedFrom] = field(default_factory=dict)
    notes: Mapping[str, Note] = field(default_factory=dict)
    storage_class: bool | None = None
    config: str = ""
    keys: Keys = field(default_factory=dict)
    again: float | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What is there now. None is "not there"; what could not be read is not in here but an error of the reconcile."""

    deployment: Deployment | None = None
    service: Child | None = None
    budget: Child | None = None
    claim: StoredClaim | None = None
    revisions: tuple[Revision, ...] = ()
    pods: tuple[Pod, ...] = ()
    monitor: ServiceMonitorState = ServiceMonitorState()
    mirror: MirrorState = field(default_factory=MirrorState)
    claim_templates: tuple[Metadata, ...] = ()
    hardware: HardwareSummary | None = None
    circumstances: Circumstances = field(default_factory=Circumstances)
    """Those in which a pod template would be rendered now; rules of the namespace only when one has to be."""
    facts: OnDemandFacts = field(default_factory=OnDemandFacts)

    @property
    def children(self) -> Mapping[Kind, Child | None]:
        """The children that are written by server-side apply."""
        return {
            kinds.DEPLOYMENT: self.deployment,
            kinds.SERVICE: self.service,
            kinds.BUDGET: self.budget,
            kinds.SERVICE_MONITOR: self.monitor.live,
        }

    @property
    def again(self) -> float | None:
        """Seconds after which something that has no watch should be read again."""
        waits = (self.facts.again, self.mirror.again, self.monitor.again)
        return min((seconds for seconds in waits if seconds is not None), default=None)

    @property
    def live_pods(self) -> tuple[Pod, ...]:
        """Pods that neither ended nor are being deleted."""
        return tuple(pod for pod in self.pods if pod.live)

    @property
    def overdue(self) -> bool:
        """Whether the rollout has exceeded its deadline, and no pod was stopped since: Kubernetes counts that later."""
        since = self.deployment.overdue_since if self.deployment is not None else None
        return since is not None and all(pod.ends is None or pod.ends <= since for pod in self.pods)

    @property
    def claim_pending(self) -> bool:
        """Whether the claim is there and no volume is bound to it."""
        return self.claim is not None and self.claim.phase == "Pending"

    def kind_of_node(self, pod: Pod) -> str:
        """The kind of node that a pod runs on, "" when it is not among those that fit."""
        return self.hardware.kinds.get(pod.node, "") if self.hardware is not None else ""

    def without_table(self, pod: Pod) -> Start | None:
        """How the server of a pod was started when it runs without its table; None when it runs with it."""
        start = self.facts.starts.get(pod.uid)
        return start if start is not None and start.mode != TUNED else None

    def warm(self, pod: Pod) -> bool:
        """Whether a pod serves with a complete table."""
        return pod.warm and self.without_table(pod) is None
