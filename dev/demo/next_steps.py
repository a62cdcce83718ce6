"""What the demo prints at its end: commands that work as printed, in the shell and directory of `make demo`."""

from dataclasses import dataclass
from pathlib import Path

from demo.cluster import Cluster
from demo.install import SYSTEM

MANIFEST = Path("out/demo/qwen3-32b.yaml")
"""The manifest that the demo applies, below the root of the repository; git ignores `out/`."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command and what it shows. `removes` marks those that take away what the demo has made."""

    line: str
    meaning: str
    removes: bool = False


def commands(cluster: Cluster, namespace: str) -> tuple[Command, ...]:
    """What to try after the demo ran in `namespace`, in an order that works."""
    tools = (cluster.kubectl.binary, cluster.helm)
    path = ":".join(dict.fromkeys(str(Path(tool).parent) for tool in tools))
    kubectl = f"kubectl -n {namespace}"
    example = (
        f"starts warm from the claim that stayed; this is examples/qwen3-32b.yaml with image {cluster.serving_image}"
    )
    tried = (
        Command(
            f"export KUBECONFIG={cluster.kubectl.kubeconfig} PATH={path}:$PATH", "this cluster, its kubectl and helm"
        ),
        Command(f"{kubectl} apply -f {MANIFEST}", example),
        Command(f"{kubectl} get hbd -o wide", "the status in one line; add -w to follow it"),
        Command(f"{kubectl} describe hbd", "conditions with reasons and messages, and Events"),
        Command("kubectl explain hbd.spec.tuning", "every field has a description"),
        Command(f"helm -n {SYSTEM} status hipbmm-operator", "the installed release"),
    )
    return (*tried, *_removal(cluster, namespace))


def _removal(cluster: Cluster, namespace: str) -> tuple[Command, ...]:
    if cluster.simulated:
        return (Command("make cluster-down", "removes the cluster and all that it made", removes=True),)
    return (
        Command(f"kubectl delete namespace {namespace}", "removes the example and its claim", removes=True),
        Command(f"helm -n {SYSTEM} uninstall hipbmm-operator", "removes the operator; the CRD stays", removes=True),
        Command(
            "kubectl delete crd hipbmmdeployments.hipbmm.io hipbmmprofiles.hipbmm.io", "removes the CRDs", removes=True
        ),
    )


def text(cluster: Cluster, namespace: str) -> str:
    """The commands for a person, each with its meaning below it."""
    lines = [f"  {command.line}\n      {command.meaning}" for command in commands(cluster, namespace)]
    return "\n".join(("What to try next, as this user and in this directory", *lines))
