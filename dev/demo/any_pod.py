"""The demo's last steps: pods that somebody else makes get tuned rows by one label."""

import json
from typing import Any

import yaml

from demo import checks, install, view, wait
from demo.cluster import Cluster
from demo.failure import DemoError
from demo.kubectl import Kubectl

Json = dict[str, Any]

EXAMPLE = install.ROOT / "examples" / "any-pod.yaml"
PROFILE = "qwen"
KNOWN, OTHER = "vllm", "other"
"""Names of the two Deployments: of the model that the resource has tuned, and of another."""
WARM = "hipbmm-warm"
SECONDS = 600.0
SMALLER = {"hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8, "num_hidden_layers": 2}
SMALL = ["--max-num-seqs", "4", "--max-num-batched-tokens", "4", "--cudagraph-capture-sizes", "1", "2", "4"]


def profile(claim: str) -> Json:
    """examples/any-pod.yaml, with the claim on which the resource has left its rows."""
    document: Json = yaml.safe_load(EXAMPLE.read_text())
    document["spec"]["cache"] = {"pvc": {"claimName": claim}}
    return document


def apply_profile(kubectl: Kubectl, claim: str) -> None:
    """Apply it, and wait until it is ready and admission knows it."""
    kubectl.apply(profile(claim))

    def settled() -> bool | None:
        return view.condition(kubectl.get("hipbmmprofile", PROFILE), "Ready").get("status") == "True" or None

    wait.until("the profile is ready", settled, SECONDS)
    template = deployment("sample", "registry.example/vllm:1", "none", [], ["vllm"])["spec"]["template"]
    meta = {"name": "sample", **template["metadata"]}
    text = json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "metadata": meta})

    def known() -> bool | None:
        out = kubectl.run("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=text)
        return injected(json.loads(out)) or None

    # The API server's admission learns of a new profile a moment after its storage.
    wait.until("admission knows the profile", known, SECONDS)


def deployment(name: str, image: str, config: str, arguments: list[str], command: list[str]) -> Json:
    """A plain Deployment, as its owner keeps it. With no command the image's own ENTRYPOINT starts the server."""
    model = f"/models/{name}"
    server: Json = {
        "name": "vllm",
        "image": image,
        "args": [model, *arguments],
        "ports": [{"containerPort": 8000}],
        "resources": {"limits": {"amd.com/gpu": "1"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 2},
        "volumeMounts": [{"name": "model", "mountPath": model}],
        **({"command": command} if command else {}),
    }
    labels = {"app": name, "hipbmm.io/profile": PROFILE}
    volumes = [{"name": "model", "configMap": {"name": config}}]
    spec = {"terminationGracePeriodSeconds": 2, "containers": [server], "volumes": volumes}
    body = {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": labels}, "spec": spec}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def proved(kubectl: Kubectl, image: str) -> None:
    """Wait until the first pod of an image has shown that the program runs in it."""

    def ask() -> bool | None:
        status = kubectl.get("hipbmmprofile", PROFILE).get("status", {})
        held = status.get("injection", {}).get("heldImages") or []
        tried = {each["image"]: each["state"] for each in status.get("canaries", [])}
        return (tried.get(image) == "Proved" and image not in held) or None

    wait.until(f"{image} is proved", ask, SECONDS)


def injected(pod: Json) -> bool:
    """Whether admission has added the init container."""
    return WARM in [each["name"] for each in pod["spec"].get("initContainers", [])]


def ready(kubectl: Kubectl, name: str) -> Json:
    """The pod of a Deployment, once it is Ready; raises DemoError when it is plain."""

    def ask() -> Json | None:
        pods = kubectl.items("pods", "-l", f"app={name}")
        return next((pod for pod in pods if view.condition(pod, "Ready").get("status") == "True"), None)

    try:
        pod = wait.until(f"a pod of {name} is Ready", ask, SECONDS)
    except DemoError as error:
        raise DemoError(str(error), evidence(kubectl, name)) from None
    if not injected(pod):
        raise DemoError(f"the pod of {name} is plain", evidence(kubectl, name))
    return pod


def report(kubectl: Kubectl, pod: Json, wanted: Json) -> Json:
    """What `hipbmm-warm` says; raises DemoError when it is not what is wanted, or when its author would not know it."""
    found = checks.report(pod, WARM) or {}
    if {key: found.get(key) for key in wanted} != wanted:
        raise DemoError(f"expected {wanted}", json.dumps(found, indent=1))
    owner = kubectl.get("deployment", pod["metadata"]["labels"]["app"])
    if owner["metadata"]["generation"] != 1:
        raise DemoError("the Deployment was changed", json.dumps(owner))
    return found


def restored(kubectl: Kubectl, pod: Json) -> Json:
    """The report of a pod that found every row."""
    return report(kubectl, pod, {"state": "Complete", "source": "Restored", "children": 0, "torchImported": False})


def tuned(kubectl: Kubectl, pod: Json) -> Json:
    """The report of a pod that tuned all of its rows itself."""
    return report(kubectl, pod, {"state": "Complete", "source": "Tuned"})


def columns(kubectl: Kubectl, warm: str) -> list[str]:
    """The lines of `kubectl get hbp`, once so many of its pods are warm."""

    def ask() -> list[str] | None:
        status = kubectl.get("hipbmmprofile", PROFILE).get("status", {})
        done = status.get("pods", {}).get("warmProgress") == warm
        return kubectl.run("get", "hbp", PROFILE).splitlines() if done else None

    return wait.until(f"{warm} pods of the profile are warm", ask, SECONDS)


def evidence(kubectl: Kubectl, name: str) -> str:
    """All that a person would ask for after a failure."""
    parts = [
        kubectl.attempt("get", "hipbmmprofile", PROFILE, "-o", "yaml").stdout,
        kubectl.attempt("get", "pods,events", "-o", "wide").stdout,
        kubectl.attempt("describe", "pods", "-l", f"app={name}").stdout,
        kubectl.attempt("logs", "--all-containers", "--prefix", "--tail=60", "-l", f"app={name}").stdout,
    ]
    return "\n".join(parts)


def known_model(cluster: Cluster) -> Json:
    """A Deployment of the model that the resource has tuned."""
    arguments = ["--served-model-name", "qwen3-32b"]
    return deployment(KNOWN, cluster.serving_image, "qwen3-32b-config", arguments, ["vllm", "serve"])


def other_model(cluster: Cluster, kubectl: Kubectl) -> Json:
    """One of a smaller model, whose ConfigMap is made here; without a command."""
    config = json.loads(kubectl.get("configmap", "qwen3-32b-config")["data"]["config.json"])
    data = {"config.json": json.dumps(config | SMALLER)}
    meta = {"name": f"{OTHER}-config"}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    return deployment(OTHER, cluster.serving_image, f"{OTHER}-config", SMALL, [])
