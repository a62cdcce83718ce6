"""Writes the status of a profile when it differs, then what changed as Events of the profile and of the owners."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hipbmm_operator.apply import events
from hipbmm_operator.apply.status_patch import merge_patch
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_objects, conditions
from hipbmm_operator.profiles.facts import Facts, Profile
from hipbmm_operator.profiles.pods import Workload
from hipbmm_operator.telemetry import metrics

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Note:
    """One Event."""

    about: Workload
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def notes(profile: Profile, status: Json, facts: Facts) -> list[Note]:
    """What changed from the stored status to the next one. Pure."""
    before = profile.raw_status
    own = Workload(names.PROFILE_KIND, profile.meta.name, names.API_VERSION, profile.meta.uid)
    found = []
    old, now = (conditions(each).get("Ready", {}) for each in (before, status))
    if now and (old.get("status"), old.get("reason")) != (now["status"], now["reason"]):
        kind: Literal["Normal", "Warning"] = "Normal" if now["status"] == "True" else "Warning"
        found.append(Note(own, kind, now["reason"], now["message"]))
    owners = {(each.workload.kind, each.workload.name): each.workload for each in facts.pods}
    known = {(each["kind"], each["name"]): each for each in as_objects(before.get("workloads"))}
    for each in as_objects(status.get("workloads")):
        owner = owners.get((each["kind"], each["name"]))
        if owner is not None:
            found += _of_workload(owner, known.get((each["kind"], each["name"]), {}), each, profile.meta.name)
    tripped = status.get("tripped")
    if tripped and not before.get("tripped"):
        stuck = {each.workload for each in facts.pods if each.pod.name in tripped["pods"]}
        found += [Note(owner, "Warning", "Suspended", tripped["message"]) for owner in sorted(stuck)]
    return found


def _of_workload(owner: Workload, before: Json, now: Json, profile: str) -> Iterable[Note]:
    if now.get("injected") and not before.get("injected"):
        yield Note(owner, "Normal", "Injected", f"pods are injected by HipbmmProfile {profile}")
    if now.get("reason") and now["reason"] != before.get("reason"):
        reason = "NotInjected" if now.get("notInjected") else "Untuned"
        yield Note(owner, "Warning", reason, f"{now['reason']}: {now.get('message', '')}")


class ProfileWriter:
    """Writes them."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def write(self, profile: Profile, status: Json, facts: Facts, now: str) -> bool:
        """Write the status if it differs; whether it did. Raises ApiError, ConflictError when the uid is another."""
        patch = merge_patch(profile.raw_status, status)
        if not patch:
            return False
        meta = profile.meta
        body = {"metadata": {"uid": meta.uid}, "status": patch}
        await self._kube.merge(kinds.HIPBMM_PROFILE, meta.namespace, meta.name, body, "status")
        metrics.STATUS_WRITES.inc()
        for note in notes(profile, status, facts):
            await self._send(meta.namespace, note, now)
        return True

    async def _send(self, namespace: str, note: Note, now: str) -> None:
        try:
            about = await self._identified(namespace, note.about)
        except errors.ApiError as error:
            LOG.warning("Event %s was not sent: %s", note.reason, error)
        else:
            await events.send(self._kube, [_event(namespace, about, note, now)])

    async def _identified(self, namespace: str, about: Workload) -> Workload:
        """With its uid, by which `kubectl describe` finds Events; pods name their ReplicaSet only."""
        if about.uid or about.kind != "Deployment":
            return about
        body = await self._kube.get(kinds.DEPLOYMENT, namespace, about.name)
        return Workload(about.kind, about.name, about.api_version, str(body["metadata"]["uid"]))


def _event(namespace: str, about: Workload, note: Note, now: str) -> Json:
    involved = {
        "apiVersion": about.api_version,
        "kind": about.kind,
        "name": about.name,
        "namespace": namespace,
        "uid": about.uid,
    }
    content = f"{about.uid}/{about.kind}/{note.reason}/{note.message}/{now[:13]}"
    known = {key: value for key, value in involved.items() if value}
    return events.body(known, content, note.type, note.reason, note.message, now)
