"""A pod that somebody else made, as the decisions see it. Pure."""

import re
from dataclasses import dataclass

from hipbmm_operator.injection import spelling
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata, as_object, as_objects, object_at, objects_at
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod

_OURS = (contract.PAYLOAD, contract.WARM, contract.HARVEST, contract.SERVER)
_NAMES = {name: f"{name} of the pod" for name in _OURS} | {
    spelling.WARM: contract.WARM,
    spelling.HARVEST: contract.HARVEST,
}
"""A container of the pod's own that is called like one of ours must not be taken for it."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""Of an object. The API server checks no name in a pod's ownerReferences, and the owner's is in paths, and in commands
that people paste."""
_HASHED = (
    ("pod-template-hash", "Deployment", "apps/v1"),
    ("rollouts-pod-template-hash", "Rollout", "argoproj.io/v1alpha1"),
)
"""Labels of pods whose value ends the name of their ReplicaSet, and who makes such ReplicaSets."""


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """What a person takes for the owner of a pod. `uid` is empty where only its name is known."""

    kind: str
    name: str
    api_version: str = ""
    uid: str = ""
    namespace: str = ""

    @property
    def restart(self) -> str:
        """How its pods are made anew, as a person can paste it."""
        if self.kind in ("Deployment", "StatefulSet", "DaemonSet"):
            return f"kubectl -n {self.namespace} rollout restart {self.kind.lower()}/{self.name}"
        if self.kind == "Rollout":
            return f"kubectl argo rollouts restart {self.name} -n {self.namespace}"
        if self.kind == "Pod":
            return "delete the pod and create it again"
        return f"delete the pods of {self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class ForeignPod:
    """`pod` has our names of its containers: `warm`, `harvest`, `server`. `kernel`: the sha256 that `warm` checks."""

    pod: Pod
    body: Json
    image: str
    workload: Workload
    injected: bool = False
    kernel: str = ""


def server(body: Json) -> Json:
    """The vLLM container, as far as a pod shows it: the one that was injected, else the first with GPUs."""
    containers = objects_at(body, "spec", "containers")

    def rank(container: Json) -> int:
        mounts = {mount.get("name") for mount in as_objects(container.get("volumeMounts"))}
        limits = object_at(container, "resources", "limits")
        has_gpus = any(name in spelling.GPUS and amount != "0" for name, amount in limits.items())
        return 0 if spelling.HOME_VOLUME in mounts else 1 if has_gpus else 2

    return min(containers, key=rank, default={})


def is_wrapped(container: Json) -> bool:
    """Whether our shell text is in front of its command (mode Wrap)."""
    command = container.get("command")
    return isinstance(command, list) and command[3:4] == [spelling.MARK]


def kernel_of(body: Json) -> str | None:
    """The sha256 of the program that the pod was created with; None for a plain pod."""
    for container in objects_at(body, "spec", "initContainers"):
        command = container.get("command", ())
        if container.get("name") == spelling.WARM and len(command) > 4:  # noqa: PLR2004  # sh -c TEXT hipbmm SHA
            return str(command[4])
    return None


def with_our_names(body: Json) -> Json:
    """The pod with statuses by the names that the containers of our own pods have."""
    renamed = {**_NAMES, str(server(body).get("name", "")): contract.SERVER}
    status = dict(as_object(body.get("status")))
    for key in ("initContainerStatuses", "containerStatuses"):
        status[key] = [
            {**entry, "name": renamed.get(str(entry.get("name")), entry.get("name"))}
            for entry in as_objects(status.get(key))
        ]
    return {**body, "status": status}


def workload(meta: Metadata) -> Workload:
    """The owner by labels that stacks put on pods, else by the controller that made the pod."""
    labels = meta.labels
    controller = next((owner for owner in meta.owners if owner.get("controller")), {})
    name = str(controller.get("name", ""))
    named = (
        ("LeaderWorkerSet", "leaderworkerset.sigs.k8s.io/name"),
        ("RayCluster", "ray.io/cluster"),
        ("InferenceService", "serving.kserve.io/inferenceservice"),
    )
    for kind, label in named:
        if label in labels:
            return Workload(kind, labels[label], namespace=meta.namespace)
    if not _NAME.fullmatch(name):
        return Workload("Pod", meta.name, "v1", meta.uid, meta.namespace)
    kind = str(controller.get("kind", ""))
    for label, owner, version in _HASHED if kind == "ReplicaSet" else ():
        suffix = f"-{labels.get(label, '')}"
        if len(suffix) > 1 and name.endswith(suffix):
            return Workload(owner, name.removesuffix(suffix), version, namespace=meta.namespace)
    version, uid = str(controller.get("apiVersion", "")), str(controller.get("uid", ""))
    return Workload(kind, name, version, uid, meta.namespace)
