"""What changed in the status of a profile, as Events of the profile and of the owners of its pods."""

import logging
from collections.abc import Iterable
from typing import Literal

from hipbmm_operator.apply import events
from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_objects, conditions, parse
from hipbmm_operator.profiles.facts import Facts, Profile
from hipbmm_operator.profiles.pods import Workload
from hipbmm_operator.status.transitions import Transition

LOG = logging.getLogger(__name__)

Change = tuple[Workload, Transition]
"""What has changed, and the object that its Event is about."""


def changes(profile: Profile, status: Json, facts: Facts, time: str) -> list[Change]:
    """What changed from the stored status to the next one. Pure."""
    before = profile.raw_status
    kind, meta = kinds.HIPBMM_PROFILE, profile.meta
    own = Workload(kind.kind, meta.name, kind.api_version, meta.uid)
    found: list[Change] = []
    old, now = (conditions(each).get("Ready", {}) for each in (before, status))
    if now and (old.get("status"), old.get("reason")) != (now["status"], now["reason"]):
        severity: Literal["Normal", "Warning"] = "Normal" if now["status"] == "True" else "Warning"
        found.append((own, Transition(severity, now["reason"], now["message"], time)))
    owners = {(each.workload.kind, each.workload.name): each.workload for each in facts.pods}
    known = {(each["kind"], each["name"]): each for each in as_objects(before.get("workloads"))}
    for each in as_objects(status.get("workloads")):
        owner = owners.get((each["kind"], each["name"]))
        if owner is not None:
            former = known.get((each["kind"], each["name"]), {})
            found += [(owner, change) for change in _of_workload(former, each, profile.meta.name, time)]
    tripped = status.get("tripped")
    if tripped and not before.get("tripped"):
        stuck = {each.workload for each in facts.pods if each.pod.name in tripped["pods"]}
        suspended = Transition("Warning", "Suspended", tripped["message"], time)
        found += [(owner, suspended) for owner in sorted(stuck)]
    return found


def _of_workload(before: Json, now: Json, profile: str, time: str) -> Iterable[Transition]:
    if now.get("injected") and not before.get("injected"):
        yield Transition("Normal", "Injected", f"pods are injected by HipbmmProfile {profile}", time)
    if now.get("reason") and now["reason"] != before.get("reason"):
        reason = "NotInjected" if now.get("notInjected") else "Untuned"
        yield Transition("Warning", reason, f"{now['reason']}: {now.get('message', '')}", time)


async def send(kube: Kube, profile: Profile, status: Json, facts: Facts, now: str) -> None:
    """Send what changed from the stored status to the next one, which has been written."""
    namespace = profile.meta.namespace
    for about, change in changes(profile, status, facts, now):
        try:
            uid = await _uid(kube, namespace, about)
        except errors.ApiError as error:
            LOG.warning("Event %s was not sent: %s", change.reason, error)
        else:
            await events.send(kube, [_event(namespace, about, uid, change)])


async def _uid(kube: Kube, namespace: str, about: Workload) -> str:
    """By which `kubectl describe` finds Events; pods name their ReplicaSet only."""
    if about.uid or about.kind != "Deployment":
        return about.uid
    return parse(await kube.get(kinds.DEPLOYMENT, namespace, about.name)).uid


def _event(namespace: str, about: Workload, uid: str, change: Transition) -> Json:
    involved = {
        "apiVersion": about.api_version,
        "kind": about.kind,
        "name": about.name,
        "namespace": namespace,
        "uid": uid,
    }
    content = f"{uid}/{about.kind}/{change.reason}/{change.message}/{change.time[:13]}"
    return events.body({key: value for key, value in involved.items() if value}, content, change)
