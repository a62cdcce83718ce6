"""HipbmmProfiles: a list of them every few seconds, and one reconcile of one profile.

They are few, and their pods have no label that the operator's own have, so neither is watched. Every replica of the
operator keeps the list, for the webhook; only the leader reconciles.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from hipbmm_operator.apply import profile_events
from hipbmm_operator.apply.profile_objects import ProfileObjects
from hipbmm_operator.apply.status_writer import StatusWriter
from hipbmm_operator.kube import errors, kinds, metadata
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import NamespacedName, as_object
from hipbmm_operator.kube.times import timestamp
from hipbmm_operator.observe.profile_facts import ProfileReads
from hipbmm_operator.profiles import facts as values
from hipbmm_operator.profiles import report
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.workqueue.queue import Queue
from hipbmm_operator.workqueue.workers import Outcome

LOG = logging.getLogger(__name__)

_SOON_SECONDS, _LATER_SECONDS = 2.0, 5.0
"""Between two reconciles while pods start, and while they serve: a new pod of an image is seen within the latter."""


class ProfileList:
    """All profiles, as they were when they were last listed."""

    def __init__(self, kube: Kube, namespaces: Sequence[str], queue: Queue) -> None:
        self._kube = kube
        self._namespaces = namespaces or ("",)
        self._queue = queue
        self._known: dict[NamespacedName, Json] = {}
        self._turn = asyncio.Lock()

    def get(self, key: NamespacedName) -> Json | None:
        """One profile."""
        return self._known.get(key)

    def of(self, namespace: str) -> Iterable[Json]:
        """The profiles of a namespace."""
        return [body for key, body in self._known.items() if key.namespace == namespace]

    async def run(self, seconds: float) -> None:
        """List them at this interval, until cancelled."""
        while True:
            try:
                await self.refresh()
            except errors.ApiError as error:
                LOG.warning("HipbmmProfiles cannot be listed: %s", error)
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311  # jitter

    async def refresh(self) -> None:
        """List them once; those that changed or are gone are reconciled. Raises ApiError."""
        async with self._turn:  # an older list never replaces a newer one
            await self._list()

    async def _list(self) -> None:
        found: dict[NamespacedName, Json] = {}
        for namespace in self._namespaces:
            try:
                async for page in self._kube.pages(kinds.HIPBMM_PROFILE, namespace):
                    found |= {_key(body): body for body in page.items}
            except errors.ForbiddenError as error:
                LOG.warning("HipbmmProfiles of namespace %s cannot be listed: %s", namespace or "*", error)
                found |= {key: body for key, body in self._known.items() if namespace in ("", key.namespace)}
        before, self._known = self._known, found
        for key in found.keys() | before.keys():
            if _version(found.get(key)) != _version(before.get(key)):
                self._queue.add(key, urgent=True)


def _key(body: Json) -> NamespacedName:
    meta = metadata.parse(body)
    return NamespacedName(meta.namespace, meta.name)


def _version(body: Json | None) -> str:
    return metadata.parse(body or {}).resource_version


@dataclass(eq=False, slots=True)
class ProfileReconciler:
    """Brings one profile at a time to where its spec wants it."""

    kube: Kube
    profiles: ProfileList
    reads: ProfileReads
    objects: ProfileObjects
    status_writer: StatusWriter
    now: Callable[[], datetime]
    _uids: dict[NamespacedName, str] = field(default_factory=dict, init=False)

    async def __call__(self, key: NamespacedName) -> Outcome:
        """Reconcile; raises ApiError when it could not."""
        body = self.profiles.get(key)
        if body is None:
            self._forget(self._uids.pop(key, ""))
            metrics.PROFILES.withdraw(key)
            return Outcome()
        profile = values.parse(body)
        if profile.meta.deleting:
            return Outcome()
        if self._uids.get(key, profile.meta.uid) != profile.meta.uid:
            self._forget(self._uids[key])  # another of the same name has taken its place
        self._uids[key] = profile.meta.uid
        others = {name: each for each in self.profiles.of(key.namespace) if (name := _key(each).name) != key.name}
        kernel = await self.objects.kernel(profile)
        now = self.now()
        read = await self.reads.facts(profile, body, others, kernel, now)
        mirror_problem, dropped = self.objects.mirror_problem(profile), self.status_writer.dropped
        facts = replace(read, mirror_problem=mirror_problem, dropped=dropped)
        status = report.build(profile, facts, now)
        written = await self.status_writer.store(profile.meta, profile.raw_status, status)
        if written:
            await profile_events.send(self.kube, profile, status, facts, timestamp(now))
        metrics.PROFILES.show(key, as_object(body.get("spec")), status)
        await self.objects.mirror(profile, facts)
        if written:
            await self.profiles.refresh()
        unsettled = any(each.pod.live and not each.pod.ready for each in facts.pods)
        return Outcome(again=_SOON_SECONDS if unsettled else _LATER_SECONDS)

    def _forget(self, uid: str) -> None:
        for part in (self.objects, self.status_writer):
            part.forget(uid)
