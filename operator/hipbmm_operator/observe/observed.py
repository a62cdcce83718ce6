"""The state of the cluster around one resource, as one value that decisions are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hipbmm_operator.detect import HardwareSummary
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.mirror.state import Seen
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.pods.report import TUNED, Progress, Start
from hipbmm_operator.resources.controller_revision import Revision

NO_PULL_SECRET = "FailedToRetrieveImagePullSecret"
"""The kubelet's Event about a pull secret that is not there."""


@dataclass(frozen=True, slots=True)
class Note:
    """What Kubernetes says in an Event about an object whose status does not tell."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What is there now. None is "not there"; what could not be read is not in here but an error of the reconcile."""

    deployment: Json | None = None
    service: Json | None = None
    budget: Json | None = None
    claim: Json | None = None
    revisions: tuple[Revision, ...] = ()
    pods: tuple[Pod, ...] = ()
    monitor: Json | None = None
    monitors_served: bool = True
    """Whether the cluster knows ServiceMonitors, as far as it was looked."""
    mirror: Seen = field(default_factory=Seen)
    hardware: HardwareSummary | None = None
    progress: Progress | None = None
    stalled: bool = False
    """Whether that progress has not moved for longer than can be expected."""
    starts: Mapping[str, Start] = field(default_factory=dict)
    """How a server that has crashed was started again, by uid of its pod."""
    notes: Mapping[str, Note] = field(default_factory=dict)
    storage_class: bool | None = None
    """Whether the claim's storage class exists; None when it was not looked for."""
    again: float | None = None
    """Seconds after which something that has no watch should be looked at again."""

    @property
    def live_pods(self) -> tuple[Pod, ...]:
        """Pods that neither ended nor are being deleted."""
        return tuple(pod for pod in self.pods if pod.live)

    @property
    def claim_pending(self) -> bool:
        """Whether the claim is there and no volume is bound to it."""
        return ((self.claim or {}).get("status") or {}).get("phase") == "Pending"

    def without_table(self, pod: Pod) -> Start | None:
        """How the server of a pod was started after it had crashed with its table; None when it runs with it."""
        start = self.starts.get(pod.uid)
        return start if start is not None and start.mode != TUNED else None

    def warm(self, pod: Pod) -> bool:
        """Whether a pod serves with a complete table."""
        return pod.warm and self.without_table(pod) is None
