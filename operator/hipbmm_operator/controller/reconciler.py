"""One reconcile of one resource: observe, decide, apply, report. Each step takes values and gives a value."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from hipbmm_operator.api.resource import Resource, parse
from hipbmm_operator.apply import events
from hipbmm_operator.apply.applier import Applied, Applier
from hipbmm_operator.apply.status_writer import StatusWriter
from hipbmm_operator.kube import errors, kinds, metadata
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.observe.observer import Observer
from hipbmm_operator.plan.plan import Plan, decide
from hipbmm_operator.plan.validation import read
from hipbmm_operator.plan.write_failure import altered
from hipbmm_operator.resources.pod_template import Payload
from hipbmm_operator.status.builder import Situation, build, without_access
from hipbmm_operator.telemetry import logs, metrics
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.workqueue.debounce import Debounce
from hipbmm_operator.workqueue.workers import Outcome


@dataclass(eq=False, slots=True)
class Reconciler:
    """Brings one resource at a time to where its spec wants it."""

    kube: Kube
    cache: ObjectCache
    observer: Observer
    rights: Rights
    payload: Payload
    status_writer: StatusWriter
    applier: Applier
    now: Callable[[], datetime]
    debounce: Debounce
    _known: dict[NamespacedName, str] = field(default_factory=dict, init=False)

    async def __call__(self, key: NamespacedName) -> Outcome:
        """Reconcile; raises ApiError when it could not."""
        resource = self._resource(key)
        if resource is None:
            return self._forget(key)
        if self._known.get(key, resource.meta.uid) != resource.meta.uid:
            self._forget(key)  # another of the same name has taken its place
        self._known[key] = resource.meta.uid
        logs.identify(resource.meta.uid, resource.meta.generation)
        try:
            outcome = await self._reconcile(key, resource)
        except (errors.NotFoundError, errors.ConflictError):
            # Either something else, to be tried again, or the resource is gone and the event was lost or is late.
            if await self._live(resource) is not None:
                raise
            self.cache.remove(kinds.HIPBMM_DEPLOYMENT, *key, resource.meta.uid)
            return self._forget(key)
        return outcome.at_latest(self.status_writer.retry_seconds if self.status_writer.dropped else None)

    async def _reconcile(self, key: NamespacedName, resource: Resource) -> Outcome:
        """The four steps. Without access to all that is around a resource, only its status is written."""
        refusal = self.rights.no_access(key.namespace)
        if refusal:
            await self._write_status(resource, without_access(resource, refusal, self.now()))
            return Outcome()
        now, checked = self.now(), read(resource)

        observed = await self.observer.at(resource, checked.spec, now)
        planned = decide(resource, checked, observed, self.payload, now)
        situation = Situation(resource, checked.spec, checked.problems, observed, planned)
        live = observed.deployment
        if resource.meta.deleting and (live is None or live.meta.deleting):
            return Outcome()
        if planned is None or resource.meta.deleting:  # a finalizer of somebody's holds it, and its pods run
            return Outcome(again=observed.again).at_latest(await self._report(key, situation))
        applied = await self._apply(key, situation, planned)
        outcome = _outcome(planned, applied)
        wait = self.debounce.status_wait(key, written=bool(applied.written), failed=bool(applied.failures))
        if wait is not None:
            return outcome.at_latest(wait)
        # A Deployment that was just written counts as it is now: the former one would say that its rollout is over.
        stored = self.observer.deployment(resource.meta)
        refused = applied.failures
        if not refused and stored is not None and self.applier.wrote(resource.meta, kinds.DEPLOYMENT, stored):
            refused = altered(planned.replicas, stored)
        now_observed = replace(observed, deployment=stored)
        reported = await self._report(key, replace(situation, observed=now_observed, refused=refused))
        return outcome.at_latest(observed.again).at_latest(reported)

    async def _apply(self, key: NamespacedName, situation: Situation, planned: Plan) -> Applied:
        """Make the writes of the plan.

        Before anything is made, the resource is proven to exist: a new one by its first status, one that was seen long
        ago by a read. Raises NotFoundError when it is gone.
        """
        resource, children = situation.resource, situation.observed.children
        if not resource.previous.conditions:
            await self._report(key, situation)
        elif planned.makes_something(children):
            live = await self._live(resource)
            if live is None or live.deleting:
                raise errors.NotFoundError(404, "NotFound", f"HipbmmDeployment {resource.meta.name} has been deleted")
        return await self.applier.run(resource.meta, planned, children)

    async def _report(self, key: NamespacedName, situation: Situation) -> float | None:
        """Write the status; 0 when it has to be written again, because the write has changed what is to be said."""
        known = self._resource(key)
        resource, dropped = situation.resource, self.status_writer.dropped
        if known is not None and known.meta.uid == resource.meta.uid:
            # With the status that was just written.
            resource = replace(resource, raw_status=known.raw_status, previous=known.previous)
        status = build(replace(situation, resource=resource, dropped=dropped), self.now())
        await self._write_status(resource, status)
        # The answer has shown that the CRD is older than the operator, or no longer is.
        return 0.0 if self.status_writer.dropped != dropped else None

    async def _write_status(self, resource: Resource, status: Json) -> None:
        if await self.status_writer.store(resource.meta, resource.raw_status, status):
            await events.send(self.kube, events.of_changes(resource, status))
        metrics.RESOURCES.show(NamespacedName(resource.meta.namespace, resource.meta.name), resource.raw_spec, status)

    def _resource(self, key: NamespacedName) -> Resource | None:
        packed = self.cache.get(kinds.HIPBMM_DEPLOYMENT, *key)
        return parse(packed.body()) if packed else None

    async def _live(self, resource: Resource) -> metadata.Metadata | None:
        """It as the API server has it now; None when it is gone. One that a finalizer holds is not."""
        owner = resource.meta
        live = metadata.parse(await self.kube.find(kinds.HIPBMM_DEPLOYMENT, owner.namespace, owner.name) or {})
        return live if live.uid == owner.uid else None

    def _forget(self, key: NamespacedName) -> Outcome:
        """The resource is gone."""
        self.debounce.forget(key)
        uid = self._known.pop(key, None)
        if uid is not None:
            for part in (self.status_writer, self.applier):
                part.forget(uid)
            metrics.RESOURCES.withdraw(key)
        return Outcome()


def _outcome(planned: Plan, applied: Applied) -> Outcome:
    retries = [failure for failure in applied.failures if failure.retry]
    afters = [failure.retry_after for failure in retries if failure.retry_after is not None]
    return Outcome(again=planned.requeue_after, retry=bool(retries), retry_after=max(afters, default=None))
