"""Watches of everything in scope, as one stream of events: kopf in a thread with an event loop of its own.

kopf ends when a watch meets an error that it does not know, and then cancels every task of its loop; here it is started
again, with growing and jittered pauses, while queue and workers go on in the loop of the main thread.
https://github.com/nolar/kopf/issues/1030, https://github.com/nolar/kopf/issues/1145
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import kopf

from hipbmm_operator.kube.client import Kube, open_session
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT, Kind
from hipbmm_operator.settings import Settings
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.watch import kopf_operator
from hipbmm_operator.watch.access import Scope
from hipbmm_operator.watch.kopf_operator import Backoffs
from hipbmm_operator.watch.pruning import CachedObject, prune

LOG = logging.getLogger(__name__)

_CALM_SECONDS = 30.0
"""Watches that ran for so long have recovered: the next pause is short again."""
_OK = 200


class Event(NamedTuple):
    """One event of a watch.

    `type` is ADDED, MODIFIED, DELETED, or None for an object of the initial state. Without an `object` the watch begins
    anew with the whole state: what was deleted before that brings no event.
    """

    kind: Kind
    type: str | None = None
    object: CachedObject | None = None


class Watches:
    """Watches the scope that it asks for at each start. Start and stop it once, in the main thread's event loop."""

    def __init__(self, settings: Settings, scope: Callable[[], Scope]) -> None:
        self._settings = settings
        self._scope = scope
        self._main = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._established = asyncio.Event()
        self._events: list[Event] = []
        self._lock = threading.Lock()
        self._answers = _Answers({})
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="watches", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._round = asyncio.Event()

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Stop watching; blocks until it has ended, at most so long."""
        self._stopping = True
        self.restart()
        self._thread.join(seconds)

    def restart(self) -> None:
        """End the watches that run: what may be watched has changed. They begin again by themselves."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(lambda: self._round.set())  # noqa: PLW0108  # the round of then

    def alive(self) -> bool:
        """Whether the API server has answered each watch within HIPBMM_WATCH_STALE_SECONDS, and events can come."""
        return self._thread.is_alive() and self._answers.silent(time.monotonic()) < self._settings.watch_stale_seconds

    async def established(self) -> None:
        """Wait until the API server has answered each watch once."""
        await self._established.wait()

    async def events(self) -> AsyncIterator[Event]:
        """All events from now on, in the order in which kopf handled them. For one reader."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            with self._lock:
                events, self._events = self._events, []
            for event in events:
                yield event

    def _take(self, kind: Kind, event: str | None, body: Json) -> None:
        """In kopf's thread: what waits for the main one is small, how ever far that is behind."""
        self._deliver(Event(kind, event, prune(kind, body)))

    def _deliver(self, event: Event) -> None:
        """From kopf's thread to the main one, which is woken once for all events that have come meanwhile."""
        with self._lock:
            self._events.append(event)
            wake = len(self._events) == 1
        if wake:
            self._wake(self._arrived)

    def _wake(self, event: asyncio.Event) -> None:
        """Set an event of the main thread's loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: this process ends
            self._main.call_soon_threadsafe(event.set)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        # kopf leaves tasks behind whose errors nobody asks for; the one that ended it is raised and logged.
        self._loop.set_exception_handler(lambda _, context: LOG.debug("Left behind by kopf: %s", context))
        pauses = iter(Backoffs())
        while not self._stopping:
            started, self._round = time.monotonic(), asyncio.Event()
            try:
                await self._watch(self._scope(), self._round)
            except Exception as error:  # kopf ends with whatever a watch met; none of it may end this thread
                LOG.warning("Watches are started again after an error: %s: %.500s", type(error).__name__, error)
                LOG.debug("The error of the watches", exc_info=error)
            if self._stopping:
                return
            metrics.WATCH_RESTARTS.inc()
            if time.monotonic() - started > _CALM_SECONDS:
                pauses = iter(Backoffs())
            await self._pause(next(pauses))

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until a restart is asked for."""
        self._round = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._round.wait()

    async def _watch(self, scope: Scope, end: asyncio.Event) -> None:
        """Watch until `end`. Raises what ended it."""
        settings = self._settings
        proxied = bool(settings.proxy)
        kube = await Kube.connect(settings.kubeconfig, settings.request_seconds, proxied=proxied)
        try:
            if (kinds := scope.paths(urlsplit(kube.server).path.rstrip("/"))) != self._answers.kinds:
                self._answers = _Answers(kinds)
            if not kinds:
                self._wake(self._established)
                await end.wait()
                return
            # Fails until the API server has our kind: kopf finds the kinds once, when it starts.
            streams = await kube.streams_lists(HIPBMM_DEPLOYMENT, next(iter(scope.namespaces), ""))
        finally:
            await kube.close()
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._answered)
        async with contextlib.AsyncExitStack() as stack:

            async def login(**_: object) -> kopf.AiohttpSession:
                session, server = await open_session(settings.kubeconfig, [trace], proxied=proxied)
                await stack.enter_async_context(session)
                return kopf.AiohttpSession(aiohttp_session=session, server=server, default_namespace=settings.namespace)

            await kopf_operator.run(settings, scope, login, self._take, end, streams=streams)

    async def _answered(self, _session: object, _context: object, params: aiohttp.TraceRequestEndParams) -> None:
        """Kopf has no signal for an answered or a renewed watch: https://github.com/nolar/kopf/issues/1077."""
        kind = self._answers.kinds.get(params.url.path)
        if kind is None or params.response.status != _OK:
            return
        query = params.url.query
        if query.get("sendInitialEvents") or not (query.get("watch") or query.get("continue")):
            self._deliver(Event(kind))
        if query.get("watch"):
            self._answers.at[params.url.path] = time.monotonic()
            metrics.WATCH_LAST.labels(kind.plural).set_to_current_time()
            if len(self._answers.at) == len(self._answers.kinds):
                self._wake(self._established)


class _Answers:
    """When the API server last answered each watch; written by kopf's thread, read by others."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._since = time.monotonic()
        self.kinds = kinds
        self.at: dict[str, float] = {}

    def silent(self, now: float) -> float:
        """Seconds since the answer to the watch that was answered longest ago."""
        return max((now - self.at.get(path, self._since) for path in self.kinds), default=0.0)
