"""Carry out a plan: the writes that are still needed, and nothing on an object that is not ours."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from hipbmm_operator.apply import intent
from hipbmm_operator.kube import errors
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import CLAIM, CONFIG_MAP, CONTROLLER_REVISION, Kind
from hipbmm_operator.kube.owner import Owner
from hipbmm_operator.kube.ownership import made_by_us, ours, owned_by
from hipbmm_operator.kube.writes import Deletion, Step
from hipbmm_operator.plan import write_failure
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.plan.write_failure import NameConflictError, Trouble
from hipbmm_operator.telemetry import metrics

LOG = logging.getLogger(__name__)

_EARLY = frozenset({CLAIM, CONFIG_MAP, CONTROLLER_REVISION})
"""What pods use, and where their template is stored: there before the Deployment, which is written with the rest."""


@dataclass(frozen=True, slots=True)
class Applied:
    """How many writes were made, and those that were not, in order."""

    written: int
    troubles: tuple[Trouble, ...]


class Applier:
    """Writes children. Keeps the intents that the API server stores in another form than they were sent."""

    def __init__(self, kube: Kube, saw: Callable[[Kind, Json], None]) -> None:
        self._kube = kube
        self._saw = saw
        self._sent: dict[tuple[Kind, str], tuple[str, str]] = {}
        self._held: dict[tuple[Kind, str], tuple[str, str, str]] = {}
        self._foreign: set[tuple[Kind, str, str]] = set()

    async def run(self, owner: Owner, plan: Plan, live: dict[Kind, Json | None]) -> Applied:
        """Do all steps and deletions; one that fails does not keep the others back."""
        done: list[bool | Trouble] = []
        for early in (True, False):
            steps = [step for step in plan.steps if (step.kind in _EARLY) is early]
            done += await asyncio.gather(*(self._try(owner, step, live.get(step.kind)) for step in steps))
        for deletion in plan.deletions:
            try:
                await self._delete(owner, deletion)
                done.append(True)
            except errors.ApiError as error:
                done.append(write_failure.of(deletion.kind, deletion.name, error))
        troubles = tuple(result for result in done if isinstance(result, Trouble))
        return Applied(sum(result is True for result in done), troubles)

    async def _try(self, owner: Owner, step: Step, live: Json | None) -> bool | Trouble:
        """Whether it was written, or why it was not."""
        try:
            return await self._step(owner, step, live)
        except errors.ApiError as error:
            return write_failure.of(step.kind, step.body["metadata"]["name"], error)

    def forget(self, uid: str) -> None:
        """The resource is gone."""
        self._sent = {key: value for key, value in self._sent.items() if value[0] != uid}
        self._held = {key: value for key, value in self._held.items() if value[0] != uid}

    async def _step(self, owner: Owner, step: Step, live: Json | None) -> bool:
        """Whether it was written."""
        name = step.body["metadata"]["name"]
        if step.mode == "merge":
            self._saw(step.kind, await self._kube.merge(step.kind, owner.namespace, name, step.body))
        elif step.mode == "create":
            await self._create(owner, step.kind, step.body)
        else:
            return await self._apply(owner, step.kind, intent.sealed(step.body), live)
        metrics.WRITES.labels(step.kind.kind, step.mode).inc()
        LOG.info("Wrote %s %s", step.kind.kind, name)
        return True

    async def _create(self, owner: Owner, kind: Kind, body: Json) -> None:
        """Create. An object of that name must be ours: one that we have not seen yet."""
        name = body["metadata"]["name"]
        try:
            self._saw(kind, await self._kube.create(kind, body))
        except errors.AlreadyExistsError:
            found = await self._kube.get(kind, owner.namespace, name)
            if not (owned_by(found, owner) or made_by_us(found, owner)):
                raise NameConflictError(kind, name) from None

    async def _apply(self, owner: Owner, kind: Kind, marked: Json, live: Json | None) -> bool:
        name = marked["metadata"]["name"]
        if live is not None and not ours(live, owner):
            # Of a former resource of the same name, which the garbage collector has still to take away.
            raise NameConflictError(kind, name)
        if live is None:
            await self._first_apply(owner, kind, marked)
        elif self._holds(kind, marked, live):
            metrics.SKIPPED.labels(kind.kind).inc()
            return False
        else:
            body = {**marked, "metadata": {**marked["metadata"], "uid": live["metadata"]["uid"]}}
            self._remember(kind, marked, await self._kube.apply(kind, body, force=True))
        metrics.WRITES.labels(kind.kind, "apply").inc()
        LOG.info("Applied %s %s", kind.kind, name)
        return True

    async def _first_apply(self, owner: Owner, kind: Kind, marked: Json) -> None:
        """Make a child that was not seen: without force, so that a foreign object of the name stays as it is."""
        name = marked["metadata"]["name"]
        at = (kind, owner.namespace, name)
        if at in self._foreign:
            await self._look(owner, kind, name)
            self._foreign.discard(at)
        try:
            answer = await self._kube.apply(kind, marked, force=False)
        except errors.ConflictError:
            self._foreign.add(at)
            await self._look(owner, kind, name)
            self._foreign.discard(at)
            answer = await self._kube.apply(kind, marked, force=True)
        self._remember(kind, marked, answer)

    async def _look(self, owner: Owner, kind: Kind, name: str) -> None:
        """Raises NameConflictError when a foreign object has the name."""
        try:
            found = await self._kube.get(kind, owner.namespace, name)
        except errors.NotFoundError:
            return
        if not ours(found, owner):
            raise NameConflictError(kind, name)

    def _remember(self, kind: Kind, marked: Json, answer: Json) -> None:
        self._saw(kind, answer)
        self._sent[kind, answer["metadata"]["uid"]] = (_owner_uid(marked), _form(answer))

    def _holds(self, kind: Kind, marked: Json, live: Json) -> bool:
        """Whether a child is as it is meant. One that was, and has not changed, is not compared field by field."""
        at = (kind, live["metadata"]["uid"])
        known = (_owner_uid(marked), intent.mark(marked), _form(live))
        if self._held.get(at) == known:
            return True
        holds = intent.fulfilled(marked, live) or self._as_sent(kind, marked, live)
        if holds:
            self._held[at] = known
        return holds

    def _as_sent(self, kind: Kind, marked: Json, live: Json) -> bool:
        """The API server wrote this intent in its own form, and that has not changed since."""
        sent = self._sent.get((kind, live["metadata"]["uid"]))
        return sent is not None and sent[1] == _form(live) and intent.same_mark(marked, live)

    async def _delete(self, owner: Owner, deletion: Deletion) -> None:
        await self._kube.delete(deletion.kind, owner.namespace, deletion.name, deletion.uid, deletion.resource_version)
        metrics.WRITES.labels(deletion.kind.kind, "delete").inc()
        LOG.info("Deleted %s %s", deletion.kind.kind, deletion.name)


def _form(live: Json) -> str:
    """Hash of what a person could have changed in a child."""
    metadata = live.get("metadata") or {}
    kept = {key: metadata.get(key) for key in ("labels", "annotations", "ownerReferences")}
    kept["annotations"] = {k: v for k, v in (kept["annotations"] or {}).items() if "deployment.kubernetes.io" not in k}
    # The generation of a Deployment counts every change of its spec, which is large; a Service has none.
    return intent.digest([kept, metadata.get("generation") or live.get("spec")])


def _owner_uid(marked: Json) -> str:
    references = marked["metadata"].get("ownerReferences") or [{}]
    return str(references[0].get("uid", ""))
