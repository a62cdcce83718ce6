"""The operator with 1,000 resources on the real API server; KWOK plays nodes and pods.

API requests per resource, time to the last child, memory, writes and processor time at rest, how fast one change among
all reaches its Deployment, and whether failing resources delay healthy ones. API server, controllers and KWOK share the
machine; what they used of it is printed beside the figures.

One client makes the resources, five a second. That is about what an API server on two cores can take: the cluster is
late for minutes, because the API server gives out addresses of Services one by one, and the controllers bind claims at
their default rate. As fast as one client can (`HIPBMM_BENCH_PER_SECOND=0`) it is the API server that is measured.

`HIPBMM_BENCH_RESOURCES` (1000) and `HIPBMM_BENCH_REST_SECONDS` (300) make it shorter; `HIPBMM_BENCH_PROFILE` names a
file for a profile of the operator.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.cluster.api import Api, until
from tests.cluster.audit import Audit
from tests.cluster.operator_process import NAMESPACE, OperatorProcess, Program, identity
from tests.cluster.world import resource

from bench import _samples, _scale_audit
from bench._scale_cluster import GPUS_PER_NODE, Cluster, Load, add_nodes, add_volumes, cpu_seconds, running, together
from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]
INSTANCE = "scale"
SYSTEM = "hipbmm-scale-system"
USER = f"system:serviceaccount:{SYSTEM}:operator"
WORK = "scale"
FULL = "scale-full"
"""A namespace whose quota allows no Service."""
RESOURCES = int(os.environ.get("HIPBMM_BENCH_RESOURCES", "1000"))
FAILING = RESOURCES * 3 // 10
PER_SECOND = float(os.environ.get("HIPBMM_BENCH_PER_SECOND", "5"))
REST_SECONDS = float(os.environ.get("HIPBMM_BENCH_REST_SECONDS", "300"))
CHANGES = min(100, RESOURCES // 2)
HEARTBEATS_PER_MINUTE = 500
_AS_INSTALLED = {
    "HIPBMM_BACKOFF_MAX_SECONDS": "60",
    "HIPBMM_CRD_SECONDS": "60",
    "HIPBMM_DEBOUNCE_SECONDS": "2",
    "HIPBMM_PROGRESS_SECONDS": "5",
    "HIPBMM_RIGHTS_SECONDS": "30",
    "MALLOC_ARENA_MAX": "1",
}
"""The defaults, where tests are more impatient, and what the image sets."""
_QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
_STILL_SECONDS = 5.0
_POLL_SECONDS = 0.02
_APART_SECONDS = 1.0
_LASTING_SECONDS = 120.0
_RECONCILES_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What the phases work on."""

    cluster: Cluster
    operator: OperatorProcess

    @property
    def api(self) -> Api:
        """The API server, as its administrator."""
        return self.cluster.api

    def audit(self, user: str = USER) -> Audit:
        """The audit log from now on."""
        return Audit(self.cluster.audit_log, user)


def measure() -> dict[str, float]:
    """All figures."""
    with running(INSTANCE) as cluster, tempfile.TemporaryDirectory() as scratch:
        for name in (SYSTEM, WORK, FULL):
            cluster.api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        add_nodes(cluster.api, (RESOURCES + FAILING + 2 * CHANGES) // GPUS_PER_NODE + 2)
        add_volumes(cluster.api, RESOURCES + FAILING)
        credentials = identity(cluster.api, cluster.kubeconfig, SYSTEM, Path(scratch))
        operator = OperatorProcess(credentials, SYSTEM, Path(scratch) / "operator.log", _program(), **_AS_INSTALLED)
        try:
            figures = _phases(Bench(cluster, operator))
            if defects := operator.defects():
                raise RuntimeError(f"the operator met a defect: {defects[0]}")
        finally:
            operator.stop()
        return {f"operator: {name}": value for name, value in figures.items()}


def _program() -> Program:
    path = os.environ.get("HIPBMM_BENCH_PROFILE")
    return Program(python=(sys.executable, "-m", "cProfile", "-o", path)) if path else Program()


def _phases(bench: Bench) -> dict[str, float]:
    figures = _wave(bench)
    figures["RSS, peak MiB"] = bench.operator.rss_mib("VmHWM")
    figures["RSS, MiB"] = bench.operator.rss_mib()
    figures |= _rest(bench, "at rest", 0.0)
    figures |= _rest(bench, "with heartbeats", HEARTBEATS_PER_MINUTE / 60)
    figures |= _again(bench)
    calm = _changes(bench, range(CHANGES))
    figures |= _samples.described("change to Deployment", calm, 50, 99)
    _fail(bench)
    busy = _changes(bench, range(CHANGES, 2 * CHANGES))
    figures |= _samples.described("change beside failing ones", busy, 50, 99)
    figures["change beside failing ones / undisturbed"] = statistics.mean(busy) / statistics.mean(calm)
    return figures


def _wave(bench: Bench) -> dict[str, float]:
    """All resources, one after the other."""
    names = [f"r-{number:04}" for number in range(RESOURCES)]
    audit, load, cpu = bench.audit(), Load(INSTANCE), cpu_seconds(bench.operator.process.pid)
    started = time.monotonic()
    for number, name in enumerate(names):
        if PER_SECOND:
            time.sleep(max(0.0, started + number / PER_SECOND - time.monotonic()))
        bench.api.create(kinds.HIPBMM_DEPLOYMENT, resource(WORK, name))
    _seldom("all to be ready", lambda: _ready(bench.api) == RESOURCES, 900)
    settled = time.monotonic() - started
    _still(bench)
    found = _scale_audit.wave(audit.everything(), USER, WORK, frozenset(names))
    print("  requests:", ", ".join(f"{kind} {count}" for kind, count in found.kinds.most_common()), flush=True)
    return {
        "s to create the resources": found.creating,
        "s to have all serve": settled,
        "s from the last resource to the last child": found.last_child,
        "CPU s to have all serve": cpu_seconds(bench.operator.process.pid) - cpu,
        **_samples.described("API requests per resource", list(found.requests.values()), 99),
        **_samples.described("s from a resource to its last child", found.delays, 50, 99),
        **load.figures("while all start"),
    }


def _ready(api: Api) -> int:
    ready = 0
    for body in api.items(kinds.HIPBMM_DEPLOYMENT, WORK):
        found = (body.get("status") or {}).get("conditions", [])
        ready += any(c["type"] == "Ready" and c["status"] == "True" for c in found)
    return ready


def _still(bench: Bench) -> None:
    """Wait until the operator has not written for a while."""

    def still() -> bool:
        audit = bench.audit()
        time.sleep(_STILL_SECONDS)
        return not audit.writes()

    until("the last write", still, 300)


def _seldom(what: str, holds: Callable[[], bool], seconds: float) -> None:
    """Wait for something that takes a list of everything: asked often, the lists would be the load that is measured."""

    def asked() -> bool:
        time.sleep(_STILL_SECONDS)
        return holds()

    until(what, asked, seconds)


def _rest(bench: Bench, name: str, heartbeats_per_second: float) -> dict[str, float]:
    """Writes and processor time while nothing happens, or nothing but heartbeats of nodes."""
    audit, pid, load = bench.audit(), bench.operator.process.pid, Load(INSTANCE)
    before, started = cpu_seconds(pid), time.monotonic()
    nodes = [node["metadata"]["name"] for node in bench.api.items(kinds.NODE)]
    beats = 0
    while (elapsed := time.monotonic() - started) < REST_SECONDS:
        if beats < elapsed * heartbeats_per_second:
            _heartbeat(bench.api, nodes[beats % len(nodes)], beats)
            beats += 1
        else:
            time.sleep(_POLL_SECONDS)
    writes = audit.writes()
    if writes:
        print(f"  written {name}:", writes[:10], flush=True)
    return {
        f"writes {name}": float(len(writes)),
        f"CPU share {name}": (cpu_seconds(pid) - before) / (time.monotonic() - started),
        f"heartbeats {name}, n": float(beats),
        **load.figures(name),
    }


def _again(bench: Bench) -> dict[str, float]:
    """A new start of the operator, which has to get to know everything at once."""
    bench.operator.stop()
    audit, started = bench.audit(), time.monotonic()
    bench.operator.start()
    ready = time.monotonic() - started
    # Reconciles of all resources are spread over the first seconds.
    time.sleep(_RECONCILES_SECONDS)
    return {
        "s to be ready after a restart": ready,
        "RSS after a restart, peak MiB": bench.operator.rss_mib("VmHWM"),
        "writes after a restart": float(len(audit.writes())),
    }


def _heartbeat(api: Api, node: str, number: int) -> None:
    """What a kubelet writes every few minutes: each beat has a time of its own."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + number))
    live = api.get(kinds.NODE, "", node)
    conditions = [entry | {"lastHeartbeatTime": stamp} for entry in live["status"]["conditions"]]
    api.merge(kinds.NODE, "", node, {"status": {"conditions": conditions}}, "status")


def _changes(bench: Bench, numbers: Sequence[int]) -> list[float]:
    """Seconds from a change of a resource to that of its Deployment, by the audit log, one resource after the other."""
    audit = bench.audit()
    names = [f"r-{number:04}" for number in numbers]
    for name in names:
        before = _generation(bench.api, name)
        bench.api.merge(kinds.HIPBMM_DEPLOYMENT, WORK, name, {"spec": {"replicas": 2}})
        until(f"the change of {name}", partial(_has_changed, bench.api, name, before), 120)
        # What follows from it, such as a new pod, is not to be in the way of the next one.
        time.sleep(_APART_SECONDS)
    return _scale_audit.changes(audit.everything(), USER, WORK, names)


def _generation(api: Api, name: str) -> int:
    return int(api.get(kinds.DEPLOYMENT, WORK, name)["metadata"]["generation"])


def _has_changed(api: Api, name: str, before: int) -> bool:
    return _generation(api, name) != before


def _fail(bench: Bench) -> None:
    """Resources that can never be brought where they want to be, for three reasons in equal parts."""
    quota = {"metadata": {"name": "none", "namespace": FULL}, "spec": {"hard": {"services": "0"}}}
    bench.api.create(_QUOTA, quota)
    together(lambda number: _failing(bench.api, number), range(FAILING))

    def reported() -> bool:
        return all(
            any(c["type"] == "Ready" for c in (body.get("status") or {}).get("conditions", []))
            for body in bench.api.items(kinds.HIPBMM_DEPLOYMENT)
        )

    _seldom("all failing ones to have been seen", reported, 300)
    # They fail for good: their retries are as far apart as they get.
    time.sleep(_LASTING_SECONDS)


def _failing(api: Api, number: int) -> None:
    name = f"f-{number:04}"
    if number % 3 == 0:
        # A foreign Service has its name.
        ports = {"ports": [{"port": 80}]}
        api.create(kinds.SERVICE, {"metadata": {"name": name, "namespace": WORK}, "spec": ports})
        api.create(kinds.HIPBMM_DEPLOYMENT, resource(WORK, name))
    elif number % 3 == 1:
        # The API server refuses the Service itself.
        service = {"annotations": {"not a valid key!": "x"}}
        api.create(kinds.HIPBMM_DEPLOYMENT, resource(WORK, name, service=service))
    else:
        api.create(kinds.HIPBMM_DEPLOYMENT, resource(FULL, name))
