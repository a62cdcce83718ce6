"""Carry out a plan: the writes that are still needed, and nothing on an object that is not ours."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hipbmm_operator.apply import intent
from hipbmm_operator.kube import errors, metadata
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import CONFIG_MAP, Kind
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.kube.writes import Step
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.observed import Child
from hipbmm_operator.plan import write_failure
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.plan.write_failure import NameConflictError, WriteFailure
from hipbmm_operator.telemetry import metrics

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """How many writes were made, and those that were not, in order."""

    written: int
    failures: tuple[WriteFailure, ...]


class Applier:
    """Writes children. Remembers in which form the API server stored an intent: often another than it was sent in."""

    def __init__(self, kube: Kube, saw: Callable[[Kind, Json], None]) -> None:
        self._kube = kube
        self._saw = saw
        self._held: dict[tuple[str, Kind], tuple[str, str, str]] = {}

    async def run(self, owner: Metadata, plan: Plan, live: Mapping[Kind, Child | None]) -> Applied:
        """Do all steps in order; one that fails keeps back only the next steps of its kind."""
        done: list[bool | WriteFailure] = []
        failed: set[Kind] = set()
        for step in plan.steps:
            # A mirror is not changed, and stays, until there is a copy of it. Anything else that is obsolete may be
            # what fills the quota.
            if step.kind in failed and (step.mode != "delete" or step.kind == CONFIG_MAP):
                continue
            done.append(await self._try(owner, step, live.get(step.kind)))
            if isinstance(done[-1], WriteFailure) and step.mode != "delete":
                failed.add(step.kind)
        failures = tuple(result for result in done if isinstance(result, WriteFailure))
        return Applied(sum(result is True for result in done), failures)

    def wrote(self, owner: Metadata, kind: Kind, live: Child) -> bool:
        """Whether a child is as it was stored by the last write, and nobody has changed it since."""
        uid, _, form = self._held.get((owner.uid, kind), ("", "", ""))
        return (uid, form) == (live.meta.uid, intent.live_hash(live))

    def forget(self, uid: str) -> None:
        """The resource is gone."""
        self._held = {key: state for key, state in self._held.items() if key[0] != uid}

    async def _try(self, owner: Metadata, step: Step, live: Child | None) -> bool | WriteFailure:
        """Whether it was written, or why it was not."""
        name = step.body["metadata"]["name"]
        try:
            if not await self._write(owner, step, live):
                metrics.SKIPPED.labels(step.kind.kind).inc()
                return False
        except errors.ApiError as error:
            return write_failure.of(step.kind, name, error)
        metrics.WRITES.labels(step.kind.kind, step.mode).inc()
        if step.mode == "delete":
            LOG.info("Deleted %s %s", step.kind.kind, name)
        else:
            LOG.info("Wrote %s %s (%s)", step.kind.kind, name, step.mode)
        return True

    async def _write(self, owner: Metadata, step: Step, live: Child | None) -> bool:
        """Whether the object had to be written. One of the name of what is created must be ours, and not seen yet."""
        kind, body, name = step.kind, step.body, step.body["metadata"]["name"]
        if step.mode == "apply":
            return await self._apply(owner, kind, intent.with_hash(body), live)
        if step.mode == "delete":
            seen = body["metadata"]
            await self._kube.delete(kind, owner.namespace, name, seen["uid"], seen["resourceVersion"])
            return True
        try:
            if step.mode == "merge":
                answer = await self._kube.merge(kind, owner.namespace, name, body)
            else:
                answer = await self._kube.create(kind, body)
        except errors.AlreadyExistsError:
            found = metadata.parse(await self._kube.get(kind, owner.namespace, name))
            if not (found.owned_by(owner) or found.made_for(owner)):
                raise NameConflictError(kind, name) from None
            return False
        self._saw(kind, answer)
        return True

    async def _apply(self, owner: Metadata, kind: Kind, marked: Json, live: Child | None) -> bool:
        if live is None:
            answer = await self._first_apply(owner, kind, marked)
        elif not live.meta.writable_for(owner):
            # Of a former resource of the same name, which the garbage collector has still to take away.
            raise NameConflictError(kind, live.meta.name)
        elif self._holds(owner, kind, marked, live):
            return False
        else:
            body = {**marked, "metadata": {**marked["metadata"], "uid": live.meta.uid}}
            answer = await self._kube.apply(kind, body, force=True)
        self._saw(kind, answer)
        stored = parse.child(answer)
        self._held[owner.uid, kind] = (stored.meta.uid, intent.hash_of(marked), intent.live_hash(stored))
        return True

    async def _first_apply(self, owner: Metadata, kind: Kind, marked: Json) -> Json:
        """Make a child that was not seen: without force, so that a foreign object of the name stays as it is."""
        name = marked["metadata"]["name"]
        try:
            return await self._kube.apply(kind, marked, force=False)
        except errors.ConflictError:
            found = metadata.parse(await self._kube.get(kind, owner.namespace, name))
            if not found.writable_for(owner):
                raise NameConflictError(kind, name) from None
        return await self._kube.apply(kind, marked, force=True)

    def _holds(self, owner: Metadata, kind: Kind, marked: Json, live: Child) -> bool:
        """Whether a child is as it is meant. One that was, and has not changed, is not compared field by field."""
        at, state = (owner.uid, kind), (live.meta.uid, intent.hash_of(marked), intent.live_hash(live))
        if self._held.get(at) == state:
            return True
        if not intent.holds(marked, live):
            return False
        self._held[at] = state
        return True
