"""One HipbmmDeployment in a namespace of its own, and what a test reads of it."""

from collections.abc import Callable
from typing import Any

from tests.cluster.api import WAIT_SECONDS, Api, until
from tests.cluster.kubelet import Kubelet, pods

from hipbmm_operator.kube import kinds

Json = dict[str, Any]

WAIT = WAIT_SECONDS
"""In which a failure must show; what comes of itself takes a few, and more on a busy machine."""


def resource(namespace: str, name: str = "qwen", **spec: object) -> Json:
    """A small resource."""
    full = {"model": {"name": "Qwen/Qwen3-32B-FP8-dynamic"}, "image": "registry.example/vllm:1", **spec}
    return {
        "apiVersion": "hipbmm.io/v1alpha1",
        "kind": "HipbmmDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": full,
    }


class World:
    """What is in one namespace."""

    def __init__(self, api: Api, kubelet: Kubelet, namespace: str, name: str = "qwen") -> None:
        self.api = api
        self.kubelet = kubelet
        self.namespace = namespace
        self.name = name

    def create(self, **spec: object) -> Json:
        """Create the resource."""
        return self.api.create(kinds.HIPBMM_DEPLOYMENT, resource(self.namespace, self.name, **spec))

    def change(self, spec: Json) -> Json:
        """Merge into its spec."""
        return self.api.merge(kinds.HIPBMM_DEPLOYMENT, self.namespace, self.name, {"spec": spec})

    def resource(self) -> Json:
        return self.api.get(kinds.HIPBMM_DEPLOYMENT, self.namespace, self.name)

    def status(self) -> Json:
        return dict(self.resource().get("status") or {})

    def condition(self, kind: str) -> Json:
        found = self.status().get("conditions", [])
        return next((entry for entry in found if entry["type"] == kind), {})

    def becomes(self, kind: str, status: str, reason: str | None = None, seconds: float = WAIT) -> Json:
        """Wait for a condition of the current generation."""

        def ask() -> Json | None:
            body = self.resource()
            found = [c for c in body.get("status", {}).get("conditions", []) if c["type"] == kind]
            holds = found and found[0]["status"] == status and reason in (None, found[0]["reason"])
            return found[0] if holds and found[0]["observedGeneration"] == body["metadata"]["generation"] else None

        try:
            return until(f"{kind}={status} {reason or ''}", ask, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; conditions: {self.status().get('conditions')}") from None

    def shows(self, **wanted: object) -> Json:
        """Wait for one status of the current generation with all of this: conditions by status or reason, fields."""

        def ask() -> Json | None:
            body = self.resource()
            status = body.get("status") or {}
            found = {entry["type"]: (entry["status"], entry["reason"]) for entry in status.get("conditions", [])}
            current = status.get("observedGeneration") == body["metadata"]["generation"]
            holds = [value in found[key] if key in found else status.get(key) == value for key, value in wanted.items()]
            return status if current and all(holds) else None

        try:
            return until(f"a status with {wanted}", ask, WAIT)
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {self.status()}") from None

    def observed(self, change: Json) -> Json:
        """Change the spec, and wait until the operator has looked at everything since; the status."""
        generation = self.change(change)["metadata"]["generation"]
        return self.until("the change to be seen", lambda status: status["observedGeneration"] == generation)

    def until(self, what: str, ask: Callable[[Json], bool], seconds: float = WAIT) -> Json:
        """Wait until the status is so; a part of it that is not there yet does not hold."""

        def holds() -> Json | None:
            status = self.status()
            try:
                return status if ask(status) else None
            except (KeyError, IndexError):
                return None  # The CRD's default has a phase and no more, until an operator has seen the resource.

        return until(what, holds, seconds)

    def deployment(self) -> Json:
        return until("the Deployment", lambda: self.api.find(kinds.DEPLOYMENT, self.namespace, self.name), WAIT)

    def pods(self, count: int) -> list[Json]:
        """Wait for so many pods; oldest first."""

        def ask() -> list[Json] | None:
            found = sorted(pods(self.api, self.namespace), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
            return found if len(found) == count else None

        return until(f"{count} pods", ask, WAIT)

    def scheduled(self, count: int) -> list[Json]:
        """Wait for so many pods that have a node."""

        def ask() -> list[Json] | None:
            found = [pod for pod in pods(self.api, self.namespace) if pod["spec"].get("nodeName")]
            return sorted(found, key=lambda pod: str(pod["metadata"]["name"])) if len(found) == count else None

        return until(f"{count} pods on nodes", ask, WAIT)

    def recover(self, count: int, answer: Json | None = None, seconds: float = WAIT) -> None:
        """Whatever pods there are work from now on, until the resource is Ready with so many."""
        worked: set[str] = set()

        def ready() -> bool:
            for pod in pods(self.api, self.namespace):
                known = pod["metadata"]["uid"] in worked or _over(pod)
                if pod["spec"].get("nodeName") and not known and self.kubelet.still_serving(pod, answer):
                    worked.add(pod["metadata"]["uid"])
            body = self.resource()
            status = body.get("status") or {}
            conditions = {entry["type"]: entry for entry in status.get("conditions", [])}
            done = (("Ready", "True", None), ("Progressing", "True", "RolloutComplete"))
            return all(
                kind in conditions
                and conditions[kind]["observedGeneration"] == body["metadata"]["generation"]
                and conditions[kind]["status"] == state
                and reason in (None, conditions[kind]["reason"])
                for kind, state, reason in done
            ) and bool(status.get("replicas") == status.get("readyReplicas") == count)

        try:
            until(f"{count} pods to serve", ready, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {self.resource().get('status')}") from None

    def serve(self, count: int, answer: Json | None = None) -> None:
        """All pods serve."""
        for pod in self.scheduled(count):
            self.kubelet.serving(pod, answer)

    def clean(self) -> None:
        """Delete every resource of the namespace, so that its GPUs are free for the next test."""
        for body in self.api.items(kinds.HIPBMM_DEPLOYMENT, self.namespace):
            self.api.delete(kinds.HIPBMM_DEPLOYMENT, self.namespace, body["metadata"]["name"])
        until("the pods to go", lambda: not self.api.items(kinds.POD, self.namespace))


def _over(pod: Json) -> bool:
    return pod["status"].get("phase") in ("Failed", "Succeeded")
