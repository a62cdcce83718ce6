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
from hipbmm_operator.kube.metadata import Metadata, NamespacedName, object_at
from hipbmm_operator.mirror.state import MirrorState
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.mirror_logs import MirrorLogs
from hipbmm_operator.observe.observed import Child, Deployment, Observed, OnDemandFacts, ServiceMonitorState
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
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.node_cache import NodeCache

_RULES_SECONDS = 30.0
"""Many resources are often made at once in one namespace."""
_MONITOR_SECONDS = 60.0


class Observer:
    """Makes one value of everything that decisions about a resource depend on."""

    def __init__(
        self, kube: Kube, cache: ObjectCache, nodes: NodeCache, clock: Callable[[], float], progress_seconds: float
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._nodes = nodes
        self._mirror = MirrorLogs(kube, clock)
        self._on_demand = OnDemandReads(kube, progress_seconds, clock)
        self._rules = ReadCache(clock)
        self._started: dict[str, tuple[bool, datetime]] = {}

    async def at(self, resource: Resource, spec: Spec | None, now: datetime) -> Observed:
        """The cluster around a resource; of one without a usable spec only what is there. Raises ApiError."""
        meta = resource.meta
        pods = tuple(self._unready(parse.pod(body), now) for body in self._owned(meta, kinds.POD) if _selected(body))
        stored = (parse.revision(body, meta) for body in self._owned(meta, kinds.CONTROLLER_REVISION))
        revisions = tuple(revision for revision in stored if revision is not None)
        claim = await self._claim(resource, spec) if spec else None
        mirror = await self._mirror_state(resource, spec, claim, pods, now)
        found = (self._live(meta, kind) for kind in (kinds.SERVICE, kinds.BUDGET))
        service, budget = (parse.child(body) if body else None for body in found)
        deployment = self.deployment(meta)
        facts = await self._on_demand.at(meta.namespace, pods, claim, now, references.names(spec) if spec else ())
        return Observed(
            deployment=deployment,
            service=service,
            monitor=await service_monitor(self._kube, meta, spec, service),
            budget=budget,
            claim=claim,
            revisions=revisions,
            pods=pods,
            mirror=mirror,
            claim_templates=await self._claim_templates(meta, spec, revisions),
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
        rules = await self._rules.get(at, _RULES_SECONDS, partial(namespace_rules, self._kube, at))
        return replace(rules, kinds=read, given=given)

    def deployment(self, owner: Metadata) -> Deployment | None:
        """The Deployment as it is known now: after a write, too."""
        body = self._live(owner, kinds.DEPLOYMENT)
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

    def _owned(self, owner: Metadata, kind: Kind) -> list[Json]:
        return [packed.body() for packed in self._cache.owned(NamespacedName(owner.namespace, owner.name), kind)]

    def _live(self, owner: Metadata, kind: Kind) -> Json | None:
        packed = self._cache.get(kind, owner.namespace, names.child(owner.name))
        return packed.body() if packed else None

    async def _claim(self, resource: Resource, spec: Spec) -> StoredClaim | None:
        """The store's claim. One that somebody else made, or has labelled as theirs, is not watched, so it is read."""
        name = volume_claim.name(resource.meta.name, spec.cache.pvc)
        if name is None:
            return None
        packed = self._cache.get(kinds.CLAIM, resource.meta.namespace, name)
        if packed is not None:
            return parse.claim(packed.body())
        before = resource.previous.cache
        if spec.cache.pvc.claim_name is None and (before is None or before.claim_name != name):
            return None  # it is new
        body = await self._kube.find(kinds.CLAIM, resource.meta.namespace, name)
        return parse.claim(body) if body else None

    async def _claim_templates(
        self, owner: Metadata, spec: Spec | None, revisions: Sequence[Revision]
    ) -> tuple[metadata.Metadata, ...]:
        """ResourceClaimTemplates of a resource that uses such, or did. They are not watched: few have any."""
        used = spec is not None and spec.gpu.device_class_name
        if not used and not any(gpu_claims.referred(revision.template) for revision in revisions):
            return ()
        selector = ",".join(f"{label}={value}" for label, value in names.selector_labels(owner.name).items())
        pages = self._kube.pages(kinds.RESOURCE_CLAIM_TEMPLATE, owner.namespace, selector=selector)
        try:
            found = [metadata.parse(body) async for page in pages for body in page.items]
        except errors.NotFoundError:
            return ()  # the API is not served: creating one says so
        return tuple(each for each in found if each.writable_for(owner))

    async def _mirror_state(
        self, resource: Resource, spec: Spec | None, claim: StoredClaim | None, pods: tuple[Pod, ...], now: datetime
    ) -> MirrorState:
        """The mirror, when there is one or should be."""
        maps = [parse.mirror_map(body) for body in self._owned(resource.meta, kinds.CONFIG_MAP)]
        chosen = placement.choose(resource.meta.name, spec.cache, claim) if spec else None
        template = object_at(self._live(resource.meta, kinds.DEPLOYMENT), "spec", "template")
        # A claim may be another one than when the pods' template was rendered: they go on as they are.
        wanted = chosen is not None and (chosen.mirror or placement.of(template, chosen).mirror)
        if not wanted and not maps:
            return MirrorState()
        return await self._mirror.at(resource.meta, maps, pods if wanted else (), now)

    def _hardware(self, spec: Spec, live: Deployment | None) -> HardwareSummary | None:
        """How the nodes fit the pods as they are, or as they are about to be."""
        read = circumstances.of(live.template).kinds if live else kinds_to_read(self._nodes.shown())
        return self._nodes.summary(spec, node_affinity.tolerations(spec), server_args.resolve(spec).gpus, read)


async def namespace_rules(kube: Kube, namespace: str) -> Circumstances:
    """Those that LimitRanges and the Pod Security Standard make. What may not be read is no rule. Raises ApiError."""
    try:
        bodies = [body async for page in kube.pages(kinds.LIMIT_RANGE, namespace) for body in page.items]
    except errors.NOT_TO_BE_READ:
        bodies = []
    try:
        labels = metadata.parse(await kube.get(kinds.NAMESPACE, "", namespace)).labels
    except errors.NOT_TO_BE_READ:
        labels = {}
    non_root = labels.get("pod-security.kubernetes.io/enforce") == "restricted"
    return Circumstances(bounds=circumstances.bounds_of(bodies), non_root=non_root)


async def service_monitor(kube: Kube, owner: Metadata, spec: Spec | None, service: Child | None) -> ServiceMonitorState:
    """That of a resource that asks for one, or did: read and not watched, for its kind may come and go.

    Nothing is asked for a resource that has nothing to do with monitors. Raises ApiError.
    """
    wanted = spec is not None and spec.service.monitor.enabled
    if not wanted and (service is None or names.ANNOTATION_MONITORED not in service.meta.annotations):
        return ServiceMonitorState()
    try:
        live = await kube.get(kinds.SERVICE_MONITOR, owner.namespace, names.child(owner.name))
    except errors.NotFoundError as error:
        served = error.of_object
        return ServiceMonitorState(served=served, again=None if served or not wanted else _MONITOR_SECONDS)
    return ServiceMonitorState(parse.child(live))


def _selected(pod: Json) -> bool:
    """Whether the Deployment and the Service select a pod: one whose label a person changes is let go by both."""
    meta = metadata.parse(pod)
    wanted = names.label_value(meta.annotations.get(names.ANNOTATION_DEPLOYMENT, ""))
    return meta.labels.get(names.LABEL_DEPLOYMENT) == wanted
