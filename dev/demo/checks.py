"""What the demo claims, as checks on the state of the cluster. Each raises DemoError with what it saw."""

import json
from typing import Any

from demo import wait
from demo.failure import DemoError
from demo.kubectl import Kubectl
from demo.view import condition

Json = dict[str, Any]

_ANSWER_SECONDS = 600.0
"""For a completion: a simulated GPU multiplies on the CPU, which may have others to serve."""
PROMPT = {"model": "qwen3-32b", "prompt": "GEMM tuning is", "max_tokens": 8}


def settled(resource: Json) -> bool:
    """Ready and tuned, for the generation that was asked, with all asked replicas ready and warm."""
    status = resource.get("status", {})
    asked = resource["spec"].get("replicas", 1)
    return (
        condition(resource, "Ready").get("status") == "True"
        and condition(resource, "Tuned").get("status") == "True"
        and status.get("observedGeneration") == resource["metadata"]["generation"]
        and status.get("readyReplicas") == asked
        and status.get("warmReplicas") == asked
    )


def pods(kubectl: Kubectl, name: str) -> list[Json]:
    """The serving pods of a HipbmmDeployment that are not being deleted."""
    found = kubectl.items("pods", "-l", f"hipbmm.io/deployment={name}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def report(pod: Json, container: str = "warm") -> Json | None:
    """What `warm` said in its termination message; None while it has not ended."""
    for status in pod["status"].get("initContainerStatuses", []):
        ended = status.get("state", {}).get("terminated")
        if status["name"] == container and ended:
            answer: Json = json.loads(ended.get("message") or "{}")
            return answer
    return None


def reports(kubectl: Kubectl, name: str) -> dict[str, Json]:
    """Pod name -> report, for the pods whose `warm` has ended."""
    answers = {pod["metadata"]["name"]: report(pod) for pod in pods(kubectl, name)}
    return {pod: answer for pod, answer in answers.items() if answer is not None}


def tuners(kubectl: Kubectl, name: str) -> list[str]:
    """Pods that tuned something themselves; the others found every row in the store."""
    return [pod for pod, answer in reports(kubectl, name).items() if answer["source"] in ("Tuned", "Mixed")]


def completion(kubectl: Kubectl, name: str) -> Json:
    """One completion through the Service's cluster IP, asked from inside a serving pod."""
    service = kubectl.get("service", name)
    address = f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}/v1/completions"
    program = (
        "import sys, urllib.request as r;"
        f"q = r.Request({address!r}, {json.dumps(PROMPT).encode()!r}, {{'Content-Type': 'application/json'}});"
        "sys.stdout.write(r.urlopen(q, timeout=200).read().decode())"
    )
    pod = pods(kubectl, name)[0]["metadata"]["name"]

    def asked() -> str | None:
        """The Service leads to a pod some time after that is Ready."""
        done = kubectl.attempt("exec", pod, "-c", "server", "--", "python3", "-c", program, timeout=240)
        return None if done.returncode else done.stdout

    answer: Json = json.loads(wait.until(f"a completion through the Service {name}", asked, _ANSWER_SECONDS))
    if not answer.get("choices") or not answer["choices"][0].get("text"):
        raise DemoError("the Service answered without a completion", json.dumps(answer))
    return answer


def table_csv(kubectl: Kubectl, name: str) -> list[str]:
    """The table on the volume as AITER's CSV, merged from the shards inside a serving pod."""
    pod = pods(kubectl, name)[0]["metadata"]["name"]
    text = kubectl.run(
        "exec", pod, "-c", "server", "--",
        "sh", "-c", "python3 /hipbmm/kernel merge /hipbmm/store --out /tmp/table.csv >/dev/null && cat /tmp/table.csv",
    )  # fmt: skip
    lines = text.splitlines()
    if not lines[1:] or not lines[0].startswith("preshuffle, use_rowwise"):
        raise DemoError("the store gave no table", text[:2000])
    return lines


def restored_fast(kubectl: Kubectl, name: str, tuner: str) -> dict[str, Json]:
    """Reports of all pods but the tuner; each restored all rows without child and torch, sooner than the tuner tuned.

    How long that takes is a figure of the bench (bench/kernel_warm.py): here several pods start at once on one CPU.
    """
    every = reports(kubectl, name)
    tuning = float(every[tuner]["seconds"])
    found = {pod: answer for pod, answer in every.items() if pod != tuner}
    for pod, answer in found.items():
        if (
            answer["source"] != "Restored"
            or answer["torchImported"]
            or answer["children"]
            or float(answer["seconds"]) >= tuning
        ):
            raise DemoError(f"{pod} did not start warm from the store", json.dumps(answer, indent=1))
    return found


def remains(kubectl: Kubectl, name: str, kinds: str) -> list[str]:
    """Names of all objects of these kinds in the namespace, but for what every namespace has of its own."""
    out = kubectl.run("get", kinds, "-o", "name").split()
    return sorted(o for o in out if not o.endswith(("/kube-root-ca.crt", f"/{name}-config")))


def only_the_claim_stays(kubectl: Kubectl, name: str) -> str:
    """After the deletion: every child goes, the retained claim stays. The claim's name."""
    kinds = "deployments,replicasets,pods,services,endpointslices,configmaps,persistentvolumeclaims,controllerrevisions"
    kinds += ",poddisruptionbudgets"

    def claim_only() -> str | None:
        left = remains(kubectl, name, kinds)
        return left[0] if len(left) == 1 and left[0].startswith("persistentvolumeclaim/") else None

    try:
        return wait.until("only the claim is left", claim_only, 480)
    except DemoError as error:
        raise DemoError(str(error), "\n".join(remains(kubectl, name, kinds))) from None
