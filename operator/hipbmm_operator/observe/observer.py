"""Look at the cluster around one resource: what the watches know, and what is read because nothing watches it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from hipbmm_operator.api.resource import Resource
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect import HardwareSummary
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.kube.ownership import owned_by
from hipbmm_operator.mirror.state import Seen
from hipbmm_operator.observe import service_monitor
from hipbmm_operator.observe.mirror_logs import Collector
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.observe.on_demand import Look, trim
from hipbmm_operator.pods import contract
from hipbmm_operator.pods import pod as pods
from hipbmm_operator.resources import controller_revision, node_affinity, placement, server_args, volume_claim
from hipbmm_operator.watch.cache import Store
from hipbmm_operator.watch.node_cache import NodeBook


class Observer:
    """Makes one value of everything that decisions about a resource depend on."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        nodes: NodeBook,
        collector: Collector,
        look: Look,
        now: Callable[[], datetime],
    ) -> None:
        self._kube = kube
        self._store = store
        self._nodes = nodes
        self._collector = collector
        self._look = look
        self._now = now
        self._started: dict[str, datetime] = {}

    async def at(self, key: NamespacedName, resource: Resource, spec: Spec | None) -> Observed:
        """The cluster around a resource; of one without a usable spec only what is there. Raises ApiError."""
        now = self._now()
        parsed = tuple(self._unready(pods.parse(packed.body()), now) for packed in self._store.owned(key, kinds.POD))
        bodies = [packed.body() for packed in self._store.owned(key, kinds.CONTROLLER_REVISION)]
        stored = [controller_revision.parse(body) for body in bodies if owned_by(body, resource.owner)]
        claim_body = await self._claim(resource, spec) if spec else None
        mirror = await self._mirror(key, resource, spec, claim_body, parsed)
        service = self._child(key, kinds.SERVICE)
        monitor = await service_monitor.look(self._kube, resource.owner, spec, service)
        seen = await self._look.at(key.namespace, parsed, claim_body, now)
        return Observed(
            deployment=self._child(key, kinds.DEPLOYMENT),
            service=service,
            monitor=monitor.live,
            monitors_served=monitor.served,
            budget=self._child(key, kinds.BUDGET),
            claim=claim_body,
            revisions=tuple(found for found in stored if found is not None),
            pods=parsed,
            mirror=mirror,
            hardware=self._hardware(spec) if spec else None,
            progress=seen.progress,
            stalled=seen.stalled,
            starts=seen.starts,
            notes=seen.notes,
            storage_class=seen.storage_class,
            again=min((wait for wait in (seen.again, mirror.again, monitor.again) if wait is not None), default=None),
        )

    def _unready(self, pod: pods.Pod, now: datetime) -> pods.Pod:
        """With the time from which its started server is not ready: Kubernetes counts from the pod's beginning."""
        server = pod.containers.get(contract.SERVER)
        if server is None or not server.started or server.ready or pod.not_ready_since is None:
            self._started.pop(pod.uid, None)
            return pod
        since = self._started.setdefault(pod.uid, now)
        trim(self._started)
        return replace(pod, not_ready_since=max(since, pod.not_ready_since))

    def _child(self, key: NamespacedName, kind: Kind) -> Json | None:
        packed = self._store.get(kind, key.namespace, names.child(key.name))
        return packed.body() if packed else None

    async def _claim(self, resource: Resource, spec: Spec) -> Json | None:
        """The store's claim. One that somebody else made is not watched, so it is read."""
        name = volume_claim.name(resource.owner.name, spec.cache.pvc)
        if name is None:
            return None
        packed = self._store.get(kinds.CLAIM, resource.owner.namespace, name)
        if packed is not None:
            return packed.body()
        if spec.cache.pvc.claim_name is None:
            return None
        try:
            return await self._kube.get(kinds.CLAIM, resource.owner.namespace, name)
        except errors.NotFoundError:
            return None

    async def _mirror(
        self,
        key: NamespacedName,
        resource: Resource,
        spec: Spec | None,
        claim_body: Json | None,
        parsed: tuple[pods.Pod, ...],
    ) -> Seen:
        """The mirror, when there is one or should be."""
        bodies = [packed.body() for packed in self._store.owned(key, kinds.CONFIG_MAP)]
        wanted = spec is not None and placement.choose(resource.owner.name, spec.cache, claim_body).mirror
        if not wanted and not bodies:
            return Seen()
        return await self._collector.at(resource.owner, bodies, parsed if wanted else (), self._now())

    def _hardware(self, spec: Spec) -> HardwareSummary | None:
        users = spec.pod_template.spec.tolerations or []
        tolerations = [entry.model_dump(by_alias=True, exclude_none=True) for entry in users]
        tolerations += node_affinity.tolerations(spec.gpu.tolerations)
        return self._nodes.summary(spec, tolerations, server_args.resolve(spec).gpus)

    def forget(self, uid: str) -> None:
        """The resource is gone."""
        self._collector.forget(uid)
