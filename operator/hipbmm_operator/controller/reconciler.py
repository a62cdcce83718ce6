"""One reconcile of one resource: observe, parse, validate, plan, apply, status. Nothing else happens here."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from hipbmm_operator.api.resource import Resource, parse, parse_spec
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.apply.applier import Applier
from hipbmm_operator.apply.status_writer import Scribe
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.observe.observer import Observer
from hipbmm_operator.plan.plan import Plan, plan
from hipbmm_operator.plan.validation import Problem, check, unread
from hipbmm_operator.plan.write_failure import Trouble
from hipbmm_operator.resources import server_args
from hipbmm_operator.resources.pod_template import Payload
from hipbmm_operator.status import no_access
from hipbmm_operator.status.builder import Situation, build
from hipbmm_operator.telemetry import logs, metrics
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import Store
from hipbmm_operator.workqueue.debounce import Debounce
from hipbmm_operator.workqueue.outcome import Outcome

_SPECS = 256


class Reconciler:
    """Brings one resource at a time to where its spec wants it."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        observer: Observer,
        rights: Rights,
        payload: Payload,
        scribe: Scribe,
        applier: Applier,
        now: Callable[[], datetime],
        debounce: Debounce,
    ) -> None:
        self._kube = kube
        self._store = store
        self._observer = observer
        self._rights = rights
        self._payload = payload
        self._scribe = scribe
        self._applier = applier
        self._now = now
        self._debounce = debounce
        self._known: dict[NamespacedName, str] = {}
        self._specs: OrderedDict[tuple[str, int], Spec | str] = OrderedDict()

    async def __call__(self, key: NamespacedName) -> Outcome:
        """Reconcile; raises ApiError when it could not."""
        packed = self._store.get(kinds.HIPBMM_DEPLOYMENT, *key)
        if packed is None:
            self._forget(key)
            return Outcome()
        resource = parse(packed.body())
        self._known[key] = resource.owner.uid
        logs.identify(resource.owner.uid, resource.generation)
        if resource.deleting:
            return Outcome()
        try:
            refusal = self._rights.blind(key.namespace)
            outcome = await self._hold_still(resource, refusal) if refusal else await self._bring(key, resource)
            return _sooner(outcome, self._scribe.retry_seconds if self._scribe.dropped else None)
        except (errors.NotFoundError, errors.ConflictError):
            # Either something else, to be tried again, or the resource is gone and the event was lost or is late.
            if await self._exists(resource):
                raise
            self._store.remove(kinds.HIPBMM_DEPLOYMENT, *key, resource.owner.uid)
            self._forget(key)
            return Outcome()

    async def _hold_still(self, resource: Resource, refusal: str) -> Outcome:
        """Not everything around the resource may be seen: nothing is changed but what the status says."""
        status = no_access.build(resource, refusal, self._now())
        await self._scribe.write(resource, status)
        metrics.RESOURCES.show(NamespacedName(resource.owner.namespace, resource.owner.name), resource.raw_spec, status)
        return Outcome()

    async def _bring(self, key: NamespacedName, resource: Resource) -> Outcome:
        spec = self._spec(resource)
        if isinstance(spec, str):
            problems: tuple[Problem, ...] = (Problem("InvalidSpec", spec, fatal=True),)
            return await self._refuse(
                Situation(resource, None, problems, await self._observer.at(key, resource, None), None)
            )
        command = server_args.resolve(spec)
        problems = (*check(spec, command), *unread(resource.raw_spec, spec))
        observed = await self._observer.at(key, resource, spec)
        if any(problem.fatal for problem in problems):
            return await self._refuse(Situation(resource, spec, problems, observed, None))
        planned = plan(resource, spec, command, observed, self._payload, self._now())
        situation = Situation(resource, spec, problems, observed, planned)
        if not resource.raw_status:
            # Written before anything is made: it shows the resource as seen, and proves that it still exists.
            await self._write(situation)
        elif _makes_something(planned, observed):
            await self._verify(resource)
        applied = await self._applier.run(resource.owner, planned, _live(observed))
        wait = self._debounce.status_wait(key, written=bool(applied.written), failed=bool(applied.troubles))
        if wait is not None:
            return _outcome(planned, replace(observed, again=wait), applied.troubles)
        now = self._after(key, observed)
        after = replace(situation, resource=self._latest(key, resource), observed=now, troubles=applied.troubles)
        await self._write(after)
        return _outcome(planned, observed, applied.troubles)

    def _spec(self, resource: Resource) -> Spec | str:
        """The typed spec of this generation; the last ones used are kept, because events come in bursts."""
        at = (resource.owner.uid, resource.generation)
        if at not in self._specs:
            self._specs[at] = parse_spec(resource.raw_spec)
            if len(self._specs) > _SPECS:
                self._specs.popitem(last=False)
        self._specs.move_to_end(at)
        return self._specs[at]

    def _after(self, key: NamespacedName, observed: Observed) -> Observed:
        """With the Deployment as it is after a write: the former one would say that what has just begun is over."""
        packed = self._store.get(kinds.DEPLOYMENT, key.namespace, names.child(key.name))
        before = ((observed.deployment or {}).get("metadata") or {}).get("resourceVersion")
        if packed is None or packed.resource_version == before:
            return observed
        return replace(observed, deployment=packed.body())

    async def _refuse(self, situation: Situation) -> Outcome:
        """A spec that cannot be used: the children stay as they are until its generation changes."""
        await self._write(situation)
        return Outcome(again=situation.observed.again)

    async def _write(self, situation: Situation) -> None:
        owner = situation.resource.owner
        key, known = NamespacedName(owner.namespace, owner.name), self._scribe.dropped
        status = build(replace(situation, dropped=known), self._now())
        written = await self._scribe.write(situation.resource, status)
        if written and self._scribe.dropped != known:
            # This write has shown that the CRD is older than the operator, or no longer is: that is told as well.
            again = replace(situation, resource=self._latest(key, situation.resource), dropped=self._scribe.dropped)
            status = build(again, self._now())
            await self._scribe.write(again.resource, status)
        metrics.RESOURCES.show(key, situation.resource.raw_spec, status)

    def _latest(self, key: NamespacedName, resource: Resource) -> Resource:
        """The resource with the status that was just written."""
        packed = self._store.get(kinds.HIPBMM_DEPLOYMENT, *key)
        if packed is None or packed.uid != resource.owner.uid:
            return resource
        return replace(resource, raw_status=parse(packed.body()).raw_status)

    async def _verify(self, resource: Resource) -> None:
        """Something is about to be made for a resource seen long ago: it must still exist. Raises NotFoundError."""
        if not await self._exists(resource):
            raise errors.NotFoundError(404, "NotFound", f"{names.KIND} {resource.owner.name} has been deleted")

    async def _exists(self, resource: Resource) -> bool:
        owner = resource.owner
        try:
            live = await self._kube.get(kinds.HIPBMM_DEPLOYMENT, owner.namespace, owner.name)
        except errors.NotFoundError:
            return False
        metadata = live.get("metadata") or {}
        return bool(metadata.get("uid") == owner.uid and not metadata.get("deletionTimestamp"))

    def _forget(self, key: NamespacedName) -> None:
        self._debounce.forget(key)
        uid = self._known.pop(key, None)
        if uid is not None:
            self._scribe.forget(uid)
            self._applier.forget(uid)
            self._observer.forget(uid)
            metrics.RESOURCES.withdraw(key)


def _live(observed: Observed) -> dict[Kind, Json | None]:
    return {
        kinds.DEPLOYMENT: observed.deployment,
        kinds.SERVICE: observed.service,
        kinds.BUDGET: observed.budget,
        kinds.SERVICE_MONITOR: observed.monitor,
    }


def _makes_something(planned: Plan, observed: Observed) -> bool:
    """Whether the plan makes an object that is not there."""
    live = _live(observed)
    return any(
        step.mode == "create" or (step.mode == "apply" and live.get(step.kind) is None) for step in planned.steps
    )


def _sooner(outcome: Outcome, seconds: float | None) -> Outcome:
    """The outcome, looked at again after so many seconds at the latest, if there is such a time."""
    return outcome if seconds is None else replace(outcome, again=min(seconds, outcome.again or seconds))


def _outcome(planned: Plan, observed: Observed, troubles: Sequence[Trouble]) -> Outcome:
    waits = [seconds for seconds in (planned.requeue_after, observed.again) if seconds is not None]
    retries = [trouble for trouble in troubles if trouble.retry]
    afters = [trouble.retry_after for trouble in retries if trouble.retry_after is not None]
    return Outcome(again=min(waits, default=None), retry=bool(retries), retry_after=max(afters, default=None))
