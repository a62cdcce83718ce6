"""`python -m demo`: the whole path, watched and checked.

Exit 0 when every claim held, 1 with the reason and the logs, 2 for arguments: there are none.
"""

import os
import sys
import time

from demo import any_pod, checks, install, next_steps, view
from demo.cluster import Cluster, choose
from demo.failure import DemoError
from demo.kubectl import Kubectl
from demo.view import say

WORKSPACE = "hipbmm-demo"
WIDTH = 150
SETTLED_SECONDS = 1800.0
"""A quiet machine needs two minutes; simulated GPUs compute on a CPU that others may use as well."""


def story(cluster: Cluster) -> None:
    """The steps after the cluster runs."""
    kubectl = cluster.kubectl.within(WORKSPACE)
    if cluster.simulated:
        step("Simulated GPUs: a device plugin and AMD's labels on this node (no AMD GPU is used in this demo)")
        node = install.simulated_gpus(cluster)
        say(f"  node {node['metadata']['name']}: amd.com/gpu {node['status']['allocatable']['amd.com/gpu']}")
    step("helm install hipbmm-operator, into a namespace that enforces the restricted pod security standard")
    install.operator(cluster)
    install.fresh_namespace(cluster.kubectl, WORKSPACE)
    name = apply_example(cluster, kubectl)
    resource = view.watch(kubectl, name, checks.settled, SETTLED_SECONDS)
    facts(resource)
    step("A completion through the Service")
    say("  " + checks.completion(kubectl, name)["choices"][0]["text"].strip())
    step("The table on the volume, as AITER's CSV")
    show_table(checks.table_csv(kubectl, name))
    scale(cluster, name)
    step(f"kubectl delete hbd {name}")
    kubectl.run("delete", "hipbmmdeployment", name)
    left = checks.only_the_claim_stays(kubectl, name)
    say(f"  left: {left} (spec.cache.pvc.retain), and nothing else")
    if cluster.simulated:
        any_pods(cluster, kubectl, left.partition("/")[2])


def any_pods(cluster: Cluster, kubectl: Kubectl, claim: str) -> None:
    """Two Deployments that the operator does not own, by one label."""
    step(f"One label: examples/any-pod.yaml with spec.cache.pvc.claimName {claim}, and two plain Deployments")
    any_pod.apply_profile(kubectl, claim)
    kubectl.apply(any_pod.known_model(cluster))
    # An image is tried by its first pod: a pod of it that is born before that has shown something is plain.
    any_pod.proved(kubectl, cluster.serving_image)
    kubectl.apply(any_pod.other_model(cluster, kubectl))
    pod = any_pod.ready(kubectl, any_pod.KNOWN)
    found = any_pod.restored(kubectl, pod)
    say(
        f"  {pod['metadata']['name']}: {found['rows']} rows from the claim in {float(found['seconds']):.2f} s, "
        f"children {found['children']}, torch imported: {found['torchImported']}"
    )
    pod = any_pod.ready(kubectl, any_pod.OTHER)
    found = any_pod.tuned(kubectl, pod)
    say(
        f"  {pod['metadata']['name']}: another model, tuned {found['tuned']} of {found['problems']} by itself; "
        "its container has no command"
    )
    for line in any_pod.columns(kubectl, "2/2"):
        say("  " + line)


def apply_example(cluster: Cluster, kubectl: Kubectl) -> str:
    """Write the manifest for this cluster where the user finds it, and apply it; its HipbmmDeployment's name."""
    name, text = install.manifest(cluster)
    next_steps.MANIFEST.parent.mkdir(parents=True, exist_ok=True)
    next_steps.MANIFEST.write_text(text)
    step(f"kubectl apply -f {next_steps.MANIFEST}   (2 replicas)")
    say(f"  this is examples/qwen3-32b.yaml with the image {cluster.serving_image}")
    kubectl.run("apply", "-f", str(next_steps.MANIFEST))
    return name


def scale(cluster: Cluster, name: str) -> None:
    """Scale to 4: the new replicas must find every row in the store."""
    kubectl = cluster.kubectl.within(WORKSPACE)
    tuners = checks.tuners(kubectl, name)
    if len(tuners) != 1:
        raise DemoError(f"expected one replica that tuned, found {tuners}", view.evidence(kubectl, name))
    step(f"kubectl scale hbd {name} --replicas 4")
    kubectl.run("scale", "hipbmmdeployment", name, "--replicas=4")
    view.watch(kubectl, name, checks.settled, SETTLED_SECONDS)
    for pod, answer in sorted(checks.restored_fast(kubectl, name, tuners[0]).items()):
        say(
            f"  {pod}: {answer['rows']} rows from the store in {float(answer['seconds']):.2f} s, "
            f"children {answer['children']}, torch imported: {answer['torchImported']}"
        )
    say(f"  {tuners[0]}: the one that tuned")


def facts(resource: view.Json) -> None:
    """What the status says of the tuning."""
    tuning = resource["status"]["tuning"]
    stack = tuning["stack"]
    say(
        f"  stack {tuning['key']}: {stack['product']} {stack['arch']}, "
        f"hipBLASLt {stack['hipblaslt']}, AITER {stack['aiter']}"
    )
    say(
        f"  tuned {tuning['tuned']} of {tuning['problems']} in {tuning['seconds']} s; "
        f"geomean speedup {tuning['geomeanSpeedup']}; rows from {tuning['dispatch'].lower()}"
    )
    if stack.get("simulated"):
        say("  simulated: true   (times and speedup come from the simulator's cost model, not from a GPU)")


def show_table(lines: list[str]) -> None:
    """The header, the first rows and the count, cut to the width of a terminal."""
    for line in lines[:4]:
        say("  " + (line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."))
    say(f"  ... {len(lines) - 1} rows")


def step(text: str) -> None:
    """A heading with the time since the start."""
    say(f"\n[{time.monotonic() - STARTED:5.0f} s] {text}")


STARTED = time.monotonic()


def main() -> int:
    """Run it; say what to try next, or what went wrong with the evidence."""
    if sys.argv[1:]:
        say("usage: make demo (no arguments; README.md says what it needs, how long it takes and what it leaves)")
        return 2
    try:
        step("Cluster")
        cluster = choose("demo")
        story(cluster)
    except DemoError as error:
        say(f"\nDEMO FAILED: {error}")
        if error.evidence:
            say(error.evidence)
        return 1
    step("Done: every claim above was checked")
    say("\n" + next_steps.text(cluster, WORKSPACE))
    return 0


if __name__ == "__main__":
    os.chdir(install.ROOT)
    sys.exit(main())
