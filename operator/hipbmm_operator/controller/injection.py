"""Wires what serves HipbmmProfiles: their list, a queue of their own, its workers, and the webhook."""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from hipbmm_operator.admission.webhook import Certificate, from_folder, serve
from hipbmm_operator.apply.profile_objects import ProfileObjects, Program
from hipbmm_operator.apply.status_writer import StatusWriter
from hipbmm_operator.controller.leader_election import Leader
from hipbmm_operator.controller.profiles import ProfileList, ProfileReconciler
from hipbmm_operator.injection.registration import NAME_START
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT, HIPBMM_PROFILE
from hipbmm_operator.kube.metadata import NamespacedName, object_at
from hipbmm_operator.observe.profile_facts import ProfileReads
from hipbmm_operator.settings import Settings
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.node_cache import NodeCache
from hipbmm_operator.workqueue.queue import Backoff, Queue
from hipbmm_operator.workqueue.workers import Workers

_WORKERS = 4
_MAX_PROGRAM = 900_000
"""Bytes that a ConfigMap can hold beside its metadata."""


async def serve_profiles(
    settings: Settings, kube: Kube, cache: ObjectCache, nodes: NodeCache, leader: Leader, now: Callable[[], datetime]
) -> None:
    """Serve profiles until cancelled, if the operator is to serve any."""
    if not settings.injection_name:
        return
    backoff = Backoff(settings.backoff_seconds, settings.backoff_max_seconds, random.random)
    queue = Queue(backoff, time.monotonic)
    profiles = ProfileList(kube, settings.namespaces, queue)
    reconcile = ProfileReconciler(
        kube=kube,
        profiles=profiles,
        reads=ProfileReads(
            kube, settings.injection_name, lambda where: _mirrors(cache, where), nodes.kubelets, time.monotonic
        ),
        objects=ProfileObjects(kube, read_program(settings.kernel_zip), time.monotonic),
        status_writer=StatusWriter(kube, lambda *_: None, time.monotonic, settings.crd_seconds, HIPBMM_PROFILE),
        now=now,
    )
    workers = Workers(queue, reconcile, leader.wait)
    async with asyncio.TaskGroup() as group:
        group.create_task(profiles.run(settings.injection_seconds))
        if settings.webhook_port:
            group.create_task(serve(settings.webhook_port, _certificate(settings, kube, now), profiles.of))
        for _ in range(_WORKERS):
            group.create_task(workers.run())


def _certificate(settings: Settings, kube: Kube, now: Callable[[], datetime]) -> Certificate:
    if not settings.webhook_secret:
        return partial(from_folder, Path(settings.webhook_certificates))
    # Here, since the library that makes certificates takes megabytes that other operators do not need.
    from hipbmm_operator.apply.webhook_certificate import OwnCertificate  # noqa: PLC0415

    secret = NamespacedName(settings.namespace, settings.webhook_secret)
    return OwnCertificate(kube, secret, f"{NAME_START}{settings.injection_name}", now)


def read_program(path: str) -> Program:
    """The kernel program that the operator's image brings."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return Program(problem=str(error))
    if len(data) > _MAX_PROGRAM:
        return Program(problem=f"{path} has {len(data)} bytes, more than a ConfigMap can hold")
    return Program(data)


def _mirrors(cache: ObjectCache, namespace: str) -> tuple[str, ...]:
    """Mirrors of the HipbmmDeployments of a namespace."""
    found = []
    for key in cache.resources():
        packed = cache.get(HIPBMM_DEPLOYMENT, *key) if key.namespace == namespace else None
        status = object_at(packed.body(), "status", "cache") if packed else {}
        found.append(str(status.get("mirror") or ""))
    return tuple(sorted(filter(None, found)))
