"""Observe the cluster around one resource: what the watches know, and what is read because nothing watches it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from hipbmm_operator.api.resource import Resource
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect.affinity import kinds_to_read
from hipbmm_operator.detect.node_fit import HardwareSummary
from hipbmm_operator.kube import errors, kinds, metadata, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import NamespacedName, object_at
from hipbmm_operator.mirror.state import MirrorState
from hipbmm_operator.observe import namespace_rules, parse, service_monitor
from hipbmm_operator.observe.mirror_logs import MirrorLogs
from hipbmm_operator.observe.observed import Deployment, Observed, OnDemandFacts
from hipbmm_operator.observe.on_demand import OnDemandReads
from hipbmm_operator.observe.read_cache import ReadCache, trim
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Pod
from hipbmm_operator.resources import (
    circumstances,
    controller_revision,
    environment,
    gpu_claims,
    node_affinity,
    placement,
    references,
    server_args,
    volume_claim,
)
from hipbmm_operator.resources.circumstances import Circumstances
from hipbmm_operator.resources.controller_revision import Revision
from hipbmm_operator.resources.volume_claim import StoredClaim
from hipbmm_operator.watch.cache import Store
from hipbmm_operator.watch.node_cache import NodeCache

_RULES_SECONDS = 30.0
"""Many resources are often made at once in one namespace."""


class Observer:
    """Makes one value of everything that decisions about a resource depend on."""

    def __init__(
        self, kube: Kube, store: Store, nodes: NodeCache, clock: Callable[[], float], progress_seconds: float
    ) -> None:
        self._kube = kube
        self._store = store
        self._nodes = nodes
        self._mirror = MirrorLogs(kube, clock)
        self._on_demand = OnDemandReads(kube, progress_seconds, clock)
        self._rules = ReadCache(clock)
        self._started: dict[str, tuple[bool, datetime]] = {}

    async def at(self, key: NamespacedName, resource: Resource, spec: Spec | None, now: datetime) -> Observed:
        """The cluster around a resource; of one without a usable spec only what is there. Raises ApiError."""
        pods = tuple(self._unready(parse.pod(body), now) for body in self._owned(key, kinds.POD) if _selected(body))
        stored = (parse.revision(body, resource.meta) for body in self._owned(key, kinds.CONTROLLER_REVISION))
        revisions = tuple(revision for revision in stored if revision is not None)
        claim = await self._claim(resource, spec) if spec else None
        mirror = await self._mirror_state(key, resource, spec, claim, pods, now)
        service, budget = (self._live(key, kind) for kind in (kinds.SERVICE, kinds.BUDGET))
        seen = parse.child(service) if service else None
        deployment = self.deployment(key)
        facts = await self._on_demand.at(key.namespace, pods, claim, now, references.names(spec) if spec else ())
        return Observed(
            deployment=deployment,
            service=seen,
            monitor=await service_monitor.read(self._kube, resource.meta, spec, seen),
            budget=parse.child(budget) if budget else None,
            claim=claim,
            revisions=revisions,
            pods=pods,
            mirror=mirror,
            claim_templates=await self._claim_templates(key, resource, spec, revisions),
            hardware=self._hardware(spec, deployment) if spec else None,
            circumstances=await self._circumstances(resource, spec, facts, revisions) if spec else Circumstances(),
            facts=facts,
        )

    async def _circumstances(
        self, resource: Resource, spec: Spec, facts: OnDemandFacts, revisions: Sequence[Revision]
    ) -> Circumstances:
        """Those of now. The namespace is asked when a template has to be rendered, which is seldom."""
        read = kinds_to_read(self._nodes.shown())
        if controller_revision.stored(controller_revision.content(resource), facts.config, revisions):
            return Circumstances(read)
        given = references.given(spec, facts.keys) & environment.CACHES
        at = resource.meta.namespace
        rules = await self._rules.get(at, _RULES_SECONDS, partial(namespace_rules.read, self._kube, at))
        return Circumstances(read, rules, given)

    def deployment(self, key: NamespacedName) -> Deployment | None:
        """The Deployment as it is known now: after a write, too."""
        body = self._live(key, kinds.DEPLOYMENT)
        return parse.deployment(body) if body else None

    def _unready(self, pod: Pod, now: datetime) -> Pod:
        """With the time from which its started server is not ready, or is and its pod is not.

        Kubernetes counts from the pod's beginning.
        """
        server = pod.container(contract.SERVER)
        if not server.started or pod.not_ready_since is None:
            self._started.pop(pod.uid, None)
            return pod
        ready, since = self._started.get(pod.uid, (server.ready, now))
        since = since if ready == server.ready else now
        self._started[pod.uid] = server.ready, since
        trim(self._started)
        return replace(pod, not_ready_since=max(since, pod.not_ready_since))

    def _owned(self, key: NamespacedName, kind: Kind) -> list[Json]:
        return [packed.body() for packed in self._store.owned(key, kind)]

    def _live(self, key: NamespacedName, kind: Kind) -> Json | None:
        packed = self._store.get(kind, key.namespace, names.child(key.name))
        return packed.body() if packed else None

    async def _claim(self, resource: Resource, spec: Spec) -> StoredClaim | None:
        """The store's claim. One that somebody else made, or has labelled as theirs, is not watched, so it is read."""
        name = volume_claim.name(resource.meta.name, spec.cache.pvc)
        if name is None:
            return None
        packed = self._store.get(kinds.CLAIM, resource.meta.namespace, name)
        if packed is not None:
            return parse.claim(packed.body())
        before = resource.previous.cache
        if spec.cache.pvc.claim_name is None and (before is None or before.claim_name != name):
            return None  # it is new
        body = await self._kube.find(kinds.CLAIM, resource.meta.namespace, name)
        return parse.claim(body) if body else None

    async def _claim_templates(
        self, key: NamespacedName, resource: Resource, spec: Spec | None, revisions: Sequence[Revision]
    ) -> tuple[metadata.Metadata, ...]:
        """ResourceClaimTemplates of a resource that uses such, or did. They are not watched: few have any."""
        used = spec is not None and spec.gpu.device_class_name
        if not used and not any(gpu_claims.referred(revision.template) for revision in revisions):
            return ()
        selector = ",".join(f"{label}={value}" for label, value in names.selector_labels(key.name).items())
        pages = self._kube.pages(kinds.RESOURCE_CLAIM_TEMPLATE, key.namespace, selector=selector)
        try:
            found = [metadata.parse(body) async for page in pages for body in page.items]
        except errors.NotFoundError:
            return ()  # the API is not served: creating one says so
        return tuple(each for each in found if each.writable_for(resource.meta))

    async def _mirror_state(
        self,
        key: NamespacedName,
        resource: Resource,
        spec: Spec | None,
        claim: StoredClaim | None,
        pods: tuple[Pod, ...],
        now: datetime,
    ) -> MirrorState:
        """The mirror, when there is one or should be."""
        maps = [parse.mirror_map(body) for body in self._owned(key, kinds.CONFIG_MAP)]
        chosen = placement.choose(resource.meta.name, spec.cache, claim) if spec else None
        template = object_at(self._live(key, kinds.DEPLOYMENT), "spec", "template")
        # A claim may be another one than when the pods' template was rendered: they go on as they are.
        wanted = chosen is not None and (chosen.mirror or placement.of(template, chosen).mirror)
        if not wanted and not maps:
            return MirrorState()
        return await self._mirror.at(resource.meta, maps, pods if wanted else (), now)

    def _hardware(self, spec: Spec, live: Deployment | None) -> HardwareSummary | None:
        """How the nodes fit the pods as they are, or as they are about to be."""
        read = circumstances.of(live.template).kinds if live else kinds_to_read(self._nodes.shown())
        return self._nodes.summary(spec, node_affinity.tolerations(spec), server_args.resolve(spec).gpus, read)


def _selected(pod: Json) -> bool:
    """Whether the Deployment and the Service select a pod: one whose label a person changes is let go by both."""
    meta = metadata.parse(pod)
    wanted = names.label_value(meta.annotations.get(names.ANNOTATION_DEPLOYMENT, ""))
    return meta.labels.get(names.LABEL_DEPLOYMENT) == wanted
