"""The live view: one line for each change of what `kubectl get` shows, with the time since the demo's `apply`."""

import sys
import time
from collections.abc import Callable
from typing import Any

from demo.failure import DemoError
from demo.kubectl import Kubectl

Json = dict[str, Any]

_COLUMNS = ("TIME", "READY", "PHASE", "TUNED", "WARM", "SPEEDUP", "REPLICAS", "REASON")
_FORMAT = "{:>6}  {:<8} {:<9} {:<17} {:<5} {:<8} {:<9} {}"


def columns(resource: Json) -> tuple[str, ...]:
    """What a person looks at, from a HipbmmDeployment; `-` for what is not known yet."""
    status = resource.get("status", {})
    tuning = status.get("tuning", {})
    ready = condition(resource, "Ready")
    asked = resource.get("spec", {}).get("replicas", 1)
    return (
        ready.get("status", "-"),
        status.get("phase", "-"),
        tuning.get("progress") or "-",
        f"{status.get('warmReplicas', 0)}/{asked}",
        tuning.get("geomeanSpeedup") or "-",
        f"{status.get('readyReplicas', 0)}/{status.get('replicas', 0)}",
        ready.get("reason", "-"),
    )


def condition(resource: Json, kind: str) -> Json:
    """One condition of a resource, or an empty object."""
    conditions: list[Json] = resource.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c.get("type") == kind), {})


def watch(kubectl: Kubectl, name: str, done: Callable[[Json], bool], seconds: float) -> Json:
    """Show each change of `name` until `done` says so; raises DemoError with the evidence after `seconds`."""
    started = time.monotonic()
    shown: tuple[str, ...] = ()
    say(_FORMAT.format(*_COLUMNS))
    while True:
        resource = kubectl.get("hipbmmdeployment", name)
        now = columns(resource)
        if now != shown:
            shown = now
            say(_FORMAT.format(f"{time.monotonic() - started:.0f} s", *now))
        if done(resource):
            return resource
        if time.monotonic() - started > seconds:
            raise DemoError(
                f"{name} did not get there within {seconds:.0f} s; last seen: {now}", evidence(kubectl, name)
            )
        time.sleep(1)


def evidence(kubectl: Kubectl, name: str) -> str:
    """All that a person would ask for after a failure: the resource, events, pods and the logs of each container."""
    parts = [
        kubectl.attempt("get", "hipbmmdeployment", name, "-o", "yaml").stdout,
        kubectl.attempt("get", "pods,pvc,events", "-o", "wide").stdout,
        kubectl.attempt("describe", "pods").stdout,
        kubectl.attempt(
            "logs", "--all-containers", "--prefix", "--tail=60", "-l", f"hipbmm.io/deployment={name}"
        ).stdout,
        kubectl.within("hipbmm-system").attempt("logs", "deployment/hipbmm-operator", "--tail=80").stdout,
    ]
    return "\n".join(parts)


def say(text: str = "") -> None:
    """A line for the person who watches."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
