"""The process: connects, watches, takes the Lease, works, and ends in good order."""

import asyncio
import contextlib
import gc
import logging
import random
import signal
import sys
import time
from functools import partial
from typing import Any

from hipbmm_operator import __version__
from hipbmm_operator.apply.applier import Applier
from hipbmm_operator.apply.status_writer import StatusWriter
from hipbmm_operator.controller.injection import serve_profiles
from hipbmm_operator.controller.leader_election import Leader
from hipbmm_operator.controller.reconciler import Reconciler
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.kinds import WATCHED
from hipbmm_operator.observe.observer import Observer
from hipbmm_operator.resources.pod_template import Payload
from hipbmm_operator.settings import Settings
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.telemetry.http_server import serving
from hipbmm_operator.watch.access import Rights
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.informer import Informer
from hipbmm_operator.watch.node_cache import NodeCache
from hipbmm_operator.watch.watches import Watches
from hipbmm_operator.workqueue.debounce import Debounce
from hipbmm_operator.workqueue.queue import Backoff, Queue
from hipbmm_operator.workqueue.workers import Workers

LOG = logging.getLogger(__name__)

_OLDEST_SECONDS = 600.0
_STOP_SECONDS = 10.0
_RELEASE_SECONDS = 5.0
"""All of the end fits into the 30 s that Kubernetes gives a pod, also when the API server does not answer."""
_SWITCH_SECONDS = 0.0005
_GARBAGE = 10_000
"""New objects until the next garbage collection: one JSON object of Kubernetes alone has hundreds."""


class Operator:
    """Wires all parts, and runs them until a signal."""

    def __init__(self, settings: Settings, kube: Kube) -> None:
        self._settings = settings
        self._kube = kube
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._primed = False
        backoff = Backoff(settings.backoff_seconds, settings.backoff_max_seconds, random.random)
        self._queue = Queue(backoff, time.monotonic)
        self._nodes = NodeCache()
        self._rights = Rights(kube, WATCHED, settings.namespaces)
        debounce = Debounce(settings.debounce_seconds, time.monotonic)
        self._informer = Informer(kube, cache := ObjectCache(), self._nodes, self._queue, settings, self._rights)
        self._leader = Leader(kube, settings, answers_again=self._informer.ask_for_resync)
        kube.may_write = self._leader.may_write
        reconcile = Reconciler(
            kube=kube,
            cache=cache,
            observer=Observer(kube, cache, self._nodes, time.monotonic, settings.progress_seconds),
            rights=self._rights,
            payload=Payload(settings.payload_image, settings.payload_pull_policy),
            status_writer=StatusWriter(kube, self._informer.saw, time.monotonic, settings.crd_seconds),
            applier=Applier(kube, self._informer.saw),
            now=kube.clock.now,
            debounce=debounce,
        )
        self._workers = Workers(self._queue, reconcile, self._leader.wait)
        self._profiles = partial(serve_profiles, settings, kube, cache, self._nodes, self._leader, kube.clock.now)
        self._watches: Watches | None = None
        metrics.LEADER.set_function(self._leader.may_write)
        metrics.QUEUE_DEPTH.set_function(self._queue.depth)
        metrics.QUEUE_AGE.set_function(self._oldest)
        # Without the Lease nothing that was seen with it is kept true.
        metrics.RESOURCES.shown = metrics.PROFILES.shown = self._leader.holds

    async def run(self) -> int:
        """Run until a signal; the exit code."""
        for name in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(name, self._stop.set)
        metrics.INFO.labels(__version__).set(1)
        async with serving(self._settings.http_port, self._health, self._ready):
            work = asyncio.create_task(self._work())
            stop = asyncio.create_task(self._stop.wait())
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            failed = work.done()
            if failed and not work.cancelled() and (error := work.exception()) is not None:
                LOG.error("The operator ends with an error", exc_info=error)
            await self._end([work, stop])
        await self._kube.close()
        return int(failed)

    async def _work(self) -> None:
        """Watch, know everything, then lead and work."""
        await self._rights.first()
        self._watches = watches = Watches(self._settings, self._rights.scope)
        watches.start()

        def access_changed() -> None:
            watches.restart()
            self._informer.ask_for_resync()

        async with asyncio.TaskGroup() as group:
            group.create_task(self._informer.run(watches.events()))
            group.create_task(self._rights.run(self._settings.rights_seconds, access_changed))
            await watches.established()
            await self._informer.resync_until_done()
            self._primed = True
            LOG.info("Everything is known and watched")
            group.create_task(self._leader.run())
            group.create_task(self._informer.resync_forever())
            group.create_task(self._informer.follow_devices())
            for _ in range(max(1, self._settings.workers)):
                group.create_task(self._workers.run())
            group.create_task(self._profiles())

    async def _end(self, tasks: list[asyncio.Task[Any]]) -> None:
        LOG.info("Stops")
        await self._workers.stop(_STOP_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._leader.release()
        if self._watches is not None:
            await asyncio.to_thread(self._watches.stop, _STOP_SECONDS)

    def _health(self) -> str | None:
        """Alive: the watches are answered while the API server answers, and no resource waits for ever.

        A start of the container would not help against an API server that is away, only delay the recovery.
        """
        if self._primed and self._unanswered() < self._settings.lease_seconds and not self._alive():
            return "a watch is not answered"
        if self._leader.may_write() and self._oldest() > _OLDEST_SECONDS:
            return f"a resource has waited for {self._oldest():.0f} s"
        return None

    def _ready(self) -> str | None:
        """Working: it knows the cluster, and what it knows is fresh."""
        if not self._primed:
            return "the first list is not complete"
        if self._unanswered() > self._settings.lease_seconds:
            return f"the API server has not answered for {self._unanswered():.0f} s"
        return None if self._alive() else "a watch is not answered"

    def _alive(self) -> bool:
        return self._watches is not None and self._watches.alive()

    def _oldest(self) -> float:
        """Seconds that a resource has waited for a worker. Nothing is worked on before the Lease is taken."""
        return min(self._queue.oldest(), self._leader.held())

    def _unanswered(self) -> float:
        return time.monotonic() - self._leader.answered


async def run(settings: Settings) -> int:
    """Run the operator; the exit code."""
    # kopf's thread and this one share the interpreter: at the default of 5 ms each wakes so late that a start takes a
    # quarter longer.
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Modules live as long as the process: traversed by each collection, they are a third of a start's processor time.
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    kube = await Kube.connect(settings.kubeconfig, settings.request_seconds, proxied=bool(settings.proxy))
    return await Operator(settings, kube).run()
