"""kopf in a thread of its own: it cancels all tasks of its event loop when it ends, and it ends on an error of a watch.

Here it is started again, with growing and jittered pauses, while queue and workers go on in the main thread's loop.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
import kopf

from hipbmm_operator.kube.client import NOTHING, Kube, open_session
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT, Kind
from hipbmm_operator.settings import Settings
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.watch import kopf_shutdown
from hipbmm_operator.watch.access import Scope
from hipbmm_operator.watch.activity import Activity, paths
from hipbmm_operator.watch.kopf_settings import Backoffs, operator_settings

Deliver = Callable[[Kind, str | None, Json], None]
"""Kind, event type (None for an object of the initial list), object."""


def register(
    registry: kopf.OperatorRegistry, kinds: Iterable[Kind], login: Callable[[], Any], deliver: Deliver
) -> None:
    """Watch these kinds. Only `on.event`: nothing is ever written to a watched object by kopf."""

    @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.TEMPORARY, backoff=5)
    async def connect(**_: object) -> object:
        return await login()

    for kind in kinds:
        _watch(registry, kind, deliver)


def _watch(registry: kopf.OperatorRegistry, kind: Kind, deliver: Deliver) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=f"take-{kind.plural}", registry=registry)
    async def take(event: kopf.RawEvent, **_: object) -> None:
        deliver(kind, event["type"], dict(event["object"]))


LOG = logging.getLogger(__name__)

_CALM_SECONDS = 30.0
"""Watches that ran for so long have recovered: the next pause is short again."""


class Watches:
    """The watching thread.

    kopf lists before it watches: all objects at once, as a whole, and each is kept for seconds. With 400 resources a
    start took 480 MiB. The informer lists them as well, so kopf is only told from where on to watch. `began` is called
    when it was, and what happened before has to be listed after that.
    """

    def __init__(
        self,
        settings: Settings,
        scope: Callable[[], Scope],
        deliver: Deliver,
        completed: Callable[[], None],
        began: Callable[[], None],
    ) -> None:
        self._scope = scope
        self._completed = completed
        self.activity = self._activity(scope())
        self._settings = settings
        self._deliver = deliver
        self._began = began
        self._thread = threading.Thread(target=self._run, name="watches", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._round = asyncio.Event()

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Stop watching; waits at most so long."""
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self.again()
        self._thread.join(seconds)

    def again(self) -> None:
        """End the watches that run: what may be watched has changed. They begin again by themselves."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_round)

    def _end_round(self) -> None:
        self._round.set()

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        asyncio.run(self._forever())

    async def _forever(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # kopf leaves tasks behind whose errors nobody asks for; the one that ended it is raised and told.
        self._loop.set_exception_handler(lambda _, context: LOG.debug("Left behind by kopf: %s", context))
        pauses = iter(Backoffs())
        while not self._stop.is_set():
            started, self._round = time.monotonic(), asyncio.Event()
            try:
                await self._once(self._scope(), self._round)
            except Exception as error:  # kopf ends with whatever a watch met; none of it may end us
                LOG.warning("Watches are started again after an error: %s: %.500s", type(error).__name__, error)
                LOG.debug("The error of the watches", exc_info=error)
            if self._stop.is_set():
                return
            metrics.WATCH_RESTARTS.inc()
            if time.monotonic() - started > _CALM_SECONDS:
                pauses = iter(Backoffs())
            await self._pause(next(pauses))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await (self._stop.wait() if self._stop else asyncio.sleep(seconds))
        except TimeoutError:
            return

    def _activity(self, scope: Scope) -> Activity:
        return Activity(paths(scope.kinds, scope.namespaces), self._completed)

    async def _served(self, scope: Scope) -> None:
        """Whether the API server knows our kind: kopf does not look again for one that was not there."""
        settings = self._settings
        kube = await Kube.connect(settings.kubeconfig, settings.request_seconds, proxied=bool(settings.proxy))
        try:
            async for _ in kube.pages(HIPBMM_DEPLOYMENT, next(iter(scope.namespaces), ""), size=1):
                return
        finally:
            await kube.close()

    async def _once(self, scope: Scope, end: asyncio.Event) -> None:
        """Watch until `end`. Raises what ended it."""
        if self.activity.watches != (activity := self._activity(scope)).watches:
            self.activity = activity
        if scope.nothing:
            self._completed()
            await end.wait()
            return
        await self._served(scope)
        registry = kopf.OperatorRegistry()
        register(registry, scope.kinds, self._login, self._deliver)
        await kopf_shutdown.run(
            lambda: kopf.spawn_tasks(
                registry=registry,
                settings=operator_settings(self._settings, scope.kinds),
                clusterwide=not scope.namespaces,
                namespaces=scope.namespaces,
                standalone=True,
                stop_flag=end,
                # Without one kopf asks for the name of the user, which a container's user id does not have.
                identity=self._settings.identity,  # type: ignore[arg-type]  # kopf does not export its NewType of str
            )
        )

    async def _login(self) -> kopf.AiohttpSession:
        proxied = bool(self._settings.proxy)
        session, server = await open_session(
            self._settings.kubeconfig, [self._trace()], [self._list_nothing], proxied=proxied
        )
        return kopf.AiohttpSession(aiohttp_session=session, server=server, default_namespace=self._settings.namespace)

    async def _list_nothing(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Of kopf's own lists only their resourceVersion is wanted."""
        if not request.url.query.get("watch") and self.activity.of(request.url.path):
            request.url = request.url.update_query(fieldSelector=NOTHING)
        return await handler(request)

    def _trace(self) -> aiohttp.TraceConfig:
        trace = aiohttp.TraceConfig()

        async def answered(_session: object, _context: object, params: aiohttp.TraceRequestEndParams) -> None:
            if params.response.status != 200:  # noqa: PLR2004  # HTTP OK
                return
            if params.url.query.get("watch"):
                self.activity.answer(params.url.path)
            elif self.activity.of(params.url.path):
                self._began()

        trace.on_request_end.append(answered)
        return trace
