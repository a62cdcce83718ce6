"""What admission adds to the creation of a pod: 1,000 dry runs each with the policy, the webhook, and neither.

The three take turns, so that whatever else the machine does meets all of them alike; the figure is the difference of
the 99th percentiles. An API server of an empty cluster has a small heap: about every 126th creation, 0.8 %, meets a
garbage collection of 70 ms or more on two busy cores. Only on a quiet machine is the figure that of admission.
HIPBMM_BENCH_INSTANCE names the localkube instance, which is reused when it runs.
"""

import copy
import os
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import yaml
from tests import stacks
from tests.cluster import injection
from tests.cluster.api import Api, is_established, until
from tests.cluster.operator_process import NAMESPACE, ROOT

from localkube import instance
from localkube.cli import main as localkube

PODS = 1000
_WARM_UP = 20
_NAME = os.environ.get("HIPBMM_BENCH_INSTANCE", "bench")
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def measure() -> dict[str, float]:
    """Milliseconds that policy and webhook add at the 99th percentile and at the median."""
    was_up = instance.describe(_NAME)["state"] == "Running"
    localkube(["up", "--profile", "control-plane", "--name", _NAME])
    try:
        return _measure(Api(Path(instance.describe(_NAME)["kubeconfig"])))
    finally:
        if not was_up:
            localkube(["down", "--name", _NAME])


def _measure(api: Api) -> dict[str, float]:
    for file in (ROOT / "crds").glob("*.yaml"):
        crd = yaml.safe_load(file.read_text())
        path = f"{_CRDS}/{crd['metadata']['name']}"
        api.request("PATCH", path, crd, {"fieldManager": "bench", "force": "true"}, "application/apply-patch+yaml")
        until("the CRD", lambda path=path: is_established(api.request("GET", path)))  # type: ignore[misc]
    mark = uuid.uuid4().hex[:8]
    places = {by: injection.namespace(api, f"{by}-{mark}", by) for by in ("policy", "webhook", "nobody")}
    profiles = [stacks.profile(places[by]) for by in ("policy", "webhook")]
    for profile in profiles:
        injection.put_profile(api, profile)
    with (
        tempfile.TemporaryDirectory() as scratch,
        injection.policies(api),
        injection.webhooks(api, Path(scratch), profiles),
    ):
        pods = {by: stacks.asking("production-stack", place) for by, place in places.items()}
        for by in ("policy", "webhook"):
            until(f"the {by}", lambda by=by: "hipbmm-warm" in str(injection.dry(api, pods[by])))  # type: ignore[misc]
        seconds: dict[str, list[float]] = {by: [] for by in places}
        for number in range(PODS + _WARM_UP):
            for by, pod in pods.items():
                body = copy.deepcopy(pod)
                started = time.perf_counter()
                injection.dry(api, body)
                if number >= _WARM_UP:
                    seconds[by].append(time.perf_counter() - started)
    for place in places.values():
        api.delete(NAMESPACE, "", place)
    return {
        f"injection_{by}_added_{name}_ms": 1000 * (at(seconds[by]) - at(seconds["nobody"]))
        for by in ("policy", "webhook")
        for name, at in (("p99", _p99), ("median", statistics.median))
    }


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
