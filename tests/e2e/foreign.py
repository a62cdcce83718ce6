"""Workloads that somebody else makes, with the label of a profile, on a real node; and what has become of them."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.e2e.badday import SMALL_CONFIG, config_map
from tests.e2e.rollout import workspace

from demo import view, wait
from demo.cluster import Cluster
from demo.failure import DemoError
from demo.kubectl import Kubectl

Json = dict[str, Any]
T = TypeVar("T")

SECONDS = 480.0
"""Generous: simulated GPUs compute on a CPU that others use as well."""
MODEL = "/models/small"
FLAGS = ("--max-num-seqs", "4", "--max-num-batched-tokens", "4", "--cudagraph-capture-sizes", "1", "2", "4")
PROBLEMS = 12
"""Of SMALL_CONFIG with FLAGS: four linears, and M of 1, 2 and 4."""
OURS = (
    "VLLM_ROCM_USE_AITER",
    "VLLM_ROCM_USE_AITER_LINEAR",
    "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM",
    "HIPBMM_DISPATCH_TABLE",
)
"""Variables of a server that serves the table."""
LABEL = "hipbmm.io/profile"
WARM = "hipbmm-warm"


def server(image: str, **changes: object) -> Json:
    """A vLLM container without a command: the image's ENTRYPOINT starts it. A change of None takes a field away."""
    made: Json = {
        "name": "vllm",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [MODEL, *FLAGS],
        "ports": [{"containerPort": 8000}],
        "resources": {"limits": {"amd.com/gpu": "1"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1, "timeoutSeconds": 5},
        "volumeMounts": [{"name": "model", "mountPath": MODEL}],
    } | changes
    return {key: value for key, value in made.items() if value is not None}


def pod_spec(container: Json, **changes: object) -> Json:
    """A pod with it, and with the small model."""
    volumes = [{"name": "model", "configMap": {"name": "small"}}, *changes.pop("volumes", [])]  # type: ignore[misc]
    return {"terminationGracePeriodSeconds": 2, "volumes": volumes, "containers": [container], **changes}


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace whose pods the policy injects; `image` is the serving image of the cluster."""

    cluster: Cluster
    kubectl: Kubectl

    @property
    def image(self) -> str:
        """The simulated serving image."""
        return self.cluster.serving_image

    def profile(self, name: str, **spec: object) -> Json:
        """Apply it; its status once it is ready and the API server's admission knows it."""
        self.apply_profile(name, **spec)
        status = self.profile_is(name, "Injecting", "True")
        self.until(f"admission to know profile {name}", lambda: self.injects(name) or None)
        return status

    def injects(self, name: str) -> bool:
        """Whether admission, which knows of changes a moment late, would inject a pod that names this profile."""
        sample = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sample", "labels": {LABEL: name}}}
        text = json.dumps(sample | {"spec": pod_spec(server("localhost/sample:1"))})
        out = self.kubectl.run("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=text)
        return is_injected(json.loads(out))

    def apply_profile(self, name: str, **spec: object) -> None:
        """Apply it, and no more."""
        meta = {"name": name}
        self.kubectl.apply(
            {"apiVersion": "hipbmm.io/v1alpha1", "kind": "HipbmmProfile", "metadata": meta, "spec": spec}
        )

    def status(self, name: str) -> Json:
        """The status of a profile."""
        return dict(self.kubectl.get("hipbmmprofile", name).get("status") or {})

    def profile_is(self, name: str, reason: str, state: str = "False") -> Json:
        """Wait for the condition Ready of the current spec."""

        def holds(body: Json) -> bool:
            ready = view.condition(body, "Ready")
            return (ready.get("status"), ready.get("reason")) == (state, reason)

        return self.becomes(name, reason, holds)

    def becomes(self, name: str, what: str, holds: Callable[[Json], bool]) -> Json:
        """Wait until a profile whose status is about its current spec is so; the status."""

        def ask() -> Json | None:
            body = self.kubectl.get("hipbmmprofile", name)
            status: Json = body.get("status") or {}
            current = status.get("observedGeneration") == body["metadata"]["generation"]
            return status if current and holds(body) else None

        return self.until(f"profile {name}: {what}", ask)

    def workload(self, profile: str, name: str, reason: str) -> Json:
        """Wait for the entry of a workload with this reason in the status of a profile."""

        def found(body: Json) -> Json | None:
            entries = body["status"].get("workloads", [])
            return next((e for e in entries if e["name"] == name and e.get("reason", "") == reason), None)

        status = self.becomes(profile, f"{name}: {reason}", lambda body: found(body) is not None)
        return found({"status": status}) or {}

    def proved(self, profile: str, image: str = "") -> None:
        """Wait until an image has shown that the program runs in it: from then on all its pods are injected."""

        def holds(body: Json) -> bool:
            trials = {each["image"]: each["state"] for each in body["status"].get("canaries", [])}
            held = body["status"].get("injection", {}).get("heldImages") or []
            return trials.get(image or self.image) == "Proved" and (image or self.image) not in held

        self.becomes(profile, "the image is proved", holds)

    def deploy(self, name: str, profile: str, spec: Json, replicas: int = 1, **labels: str) -> None:
        """A Deployment with the label."""
        self.kubectl.apply(deployment(name, profile, spec, replicas, **labels))

    def pods(self, name: str) -> list[Json]:
        """The pods of a workload that are not being deleted."""
        found = self.kubectl.items("pods", "-l", f"app={name}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def pod(self, name: str, what: str = "a pod", holds: Callable[[Json], bool] = lambda _: True) -> Json:
        """Wait for a pod of a workload that is so."""
        return self.until(f"{name}: {what}", lambda: next((p for p in self.pods(name) if holds(p)), None))

    def ready(self, name: str) -> Json:
        """Wait for a pod that is Ready."""
        return self.pod(name, "a pod that is Ready", is_ready)

    def all_ready(self, name: str, count: int) -> list[Json]:
        """Wait for all pods of a workload."""

        def ask() -> list[Json] | None:
            found = self.pods(name)
            return found if len(found) == count and all(map(is_ready, found)) else None

        return self.until(f"{name}: {count} pods that are Ready", ask)

    def remove(self, *names: str) -> None:
        """Delete Deployments, and wait until their pods have given their GPUs back."""
        self.kubectl.run("delete", "deployment", *names)
        label = f"app in ({','.join(names)})"
        self.until(f"pods of {names} are gone", lambda: not self.kubectl.items("pods", "-l", label) or None)

    def until(self, what: str, ask: Callable[[], T | None]) -> T:
        """Wait for it; AssertionError with what a person would look at."""
        try:
            return wait.until(what, ask, SECONDS)
        except DemoError as error:
            raise AssertionError(f"{error}\n{self.evidence()}") from None

    def evidence(self) -> str:
        """All that is in the namespace."""
        parts = [
            self.kubectl.attempt("get", "hipbmmprofiles", "-o", "yaml").stdout,
            self.kubectl.attempt("get", "pods,events", "-o", "wide").stdout,
            self.kubectl.attempt("describe", "pods").stdout,
            self.kubectl.attempt("logs", "--all-containers", "--prefix", "--tail=40", "-l", LABEL).stdout,
            self.kubectl.within("hipbmm-system").attempt("logs", "deployment/hipbmm-operator", "--tail=40").stdout,
        ]
        return "\n".join(parts)

    def python(self, pod: Json, code: str, container: str = "vllm") -> str:
        """What a Python program prints inside a container."""
        return self.kubectl.run("exec", pod["metadata"]["name"], "-c", container, "--", "python3", "-c", code)

    def environment(self, pod: Json) -> dict[str, str]:
        """What the server's first process was started with."""
        text = self.python(pod, "print(open('/proc/1/environ').read())")
        pairs = (entry.partition("=") for entry in text.strip().strip("\0").split("\0"))
        return {name: value for name, _, value in pairs}

    def counters(self, pod: Json) -> dict[str, float]:
        """The simulator's own count of what hipBLASLt was asked, after one completion."""
        ask = {"model": MODEL, "prompt": "one two three", "max_tokens": 2}
        code = (
            "import urllib.request as r;"
            f"q = r.Request('http://127.0.0.1:8000/v1/completions', {json.dumps(ask).encode()!r});"
            "r.urlopen(q, timeout=60).read();"
            "print(r.urlopen('http://127.0.0.1:8000/metrics', timeout=60).read().decode())"
        )
        lines = self.python(pod, code).splitlines()
        return {
            name: float(value) for name, value in (li.rsplit(" ", 1) for li in lines if li.startswith("hipbmm_sim_"))
        }

    def whole_report(self, pod: Json) -> Json:
        """`report.json` of the pod."""
        found: Json = json.loads(self.python(pod, "print(open('/hipbmm/report.json').read())"))
        return found

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of the Events about an object."""
        found = self.kubectl.items("events", "--field-selector", f"involvedObject.name={name}")
        return [(each.get("reason", ""), each.get("message", "")) for each in found]

    def event(self, name: str, reason: str, words: str) -> str:
        """Wait for an Event about an object; its message."""

        def ask() -> str | None:
            return next((text for found, text in self.events(name) if found == reason and words in text), None)

        return self.until(f"Event {reason} ({words}) of {name}", ask)

    def serves_tuned(self, pod: Json) -> None:
        """The server's calls run verified indices from the table in memory, and AITER tunes nothing."""
        counted = self.counters(pod)
        assert counted["hipbmm_sim_chosen_total"] > 0, counted
        assert counted["hipbmm_sim_lookup_misses_total"] == 0, counted

    def serves_plain(self, pod: Json) -> None:
        """The server answers as if there were no operator: without HIPBMM, and without a variable of ours."""
        counted = self.counters(pod)
        assert counted["hipbmm_sim_chosen_total"] == counted["hipbmm_sim_lookup_misses_total"] == 0, counted
        assert not set(OURS) & set(self.environment(pod))


@contextmanager
def place(cluster: Cluster, name: str) -> Iterator[Place]:
    """A namespace with the small model, for one module of tests."""
    with workspace(cluster, name) as kubectl:
        config_map(kubectl, "small", SMALL_CONFIG)
        yield Place(cluster, kubectl)


def deployment(name: str, profile: str, spec: Json, replicas: int = 1, **labels: str) -> Json:
    """As its owner keeps it in a repository."""
    marks = {"app": name, LABEL: profile, **{key.replace("__", "/"): value for key, value in labels.items()}}
    template = {"metadata": {"labels": marks}, "spec": spec}
    body = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def with_env(container: Json, values: Mapping[str, str]) -> Json:
    """The container with more variables."""
    changed = copy.deepcopy(container)
    changed.setdefault("env", []).extend({"name": name, "value": value} for name, value in values.items())
    return changed


def is_injected(pod: Json) -> bool:
    """Whether admission has added our init container."""
    return WARM in [each["name"] for each in pod["spec"].get("initContainers", [])]


def is_ready(pod: Json) -> bool:
    """Whether all its containers are."""
    return view.condition(pod, "Ready").get("status") == "True"


def status_of(pod: Json, container: str) -> Json:
    """The status of a container of either kind; empty while there is none."""
    entries = [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
    return next((each for each in entries if each["name"] == container), {})


def restarts(pod: Json) -> dict[str, int]:
    """How often each container has started again."""
    entries = [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
    return {each["name"]: each["restartCount"] for each in entries}


def report(pod: Json) -> Json:
    """The termination message of `hipbmm-warm`."""
    ended = status_of(pod, WARM).get("state", {}).get("terminated") or {}
    found: Json = json.loads(ended.get("message") or "{}")
    return found


def own_container(pod: Json, name: str = "vllm") -> Json:
    """A container of the pod's own."""
    found: Json = next(each for each in pod["spec"]["containers"] if each["name"] == name)
    return found
