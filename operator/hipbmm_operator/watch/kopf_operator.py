"""kopf as a watcher: it logs in, keeps one watch for each kind and namespace, and writes nothing.

All other parts of kopf are off: peering, Events, finalizers, scanning for new kinds, and the storages of its change
handlers. Whatever ends it, `run` returns only when all of its tasks have ended.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import kopf
from kopf._cogs.clients.api import iter_jsonlines
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.settings import Settings
from hipbmm_operator.watch.access import Scope

Deliver = Callable[[Kind, str | None, Json], None]
"""Kind, event type (None for an object of the initial state), object."""
Login = Callable[..., Awaitable[kopf.AiohttpSession]]

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 10.0
"""Nine watches that ask so often cost an API server nothing, and after an outage they are back at once."""
_CONNECT_SECONDS = 10.0
_REQUEST_SECONDS = 30.0
_IDLE_SECONDS = 0.02
"""kopf keeps a task and the last event of each object for so long. Its 5 s are thousands of objects at a start."""
_CANCEL_SECONDS = 0.5
_READ_BYTES = 2**14
_PAUSE_WAITER = "pause-waiter"
"""Prefix of the names of kopf's tasks that wait for a pause of the operator."""


# kopf reads each watch 1 MiB at a time, of which aiohttp then holds twice as much, and has no setting for that: at a
# start among 1,000 resources it is 20 MiB. https://github.com/zalando-incubator/kopf/issues/275
iter_jsonlines.__defaults__ = (_READ_BYTES,)


class Backoffs:
    """Endless pauses with full jitter: a watch never gives up, whatever the API server does."""

    def __iter__(self) -> Iterator[float]:
        ceiling = _FIRST_PAUSE_SECONDS
        while True:
            yield random.uniform(0.1, ceiling)  # noqa: S311  # spreads load, is no secret
            ceiling = min(_LONGEST_PAUSE_SECONDS, ceiling * 2)


class _NoEssence(kopf.MultiDiffBaseStorage):
    """For change handlers, which do not exist here: kopf's default copies each object twice for each event.

    4,000 pods of 8 kB took 2.5 ms of processor time each with the default storages, and take 0.9 ms.
    """

    def build(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence({})


class _NoMemories(ResourceMemories):
    """For daemons and indices, too: kopf's default keeps 0.9 kB of each object, 5 MiB of 1,000 resources.

    `spawn_tasks` takes one, but kopf exports no name of the class.
    """

    async def recall(self, raw_body: kopf.RawBody, **more: Any) -> ResourceMemory:  # noqa: ANN401  # kopf's own
        return await super().recall(raw_body, **{**more, "ephemeral": True})


async def run(  # what one run of kopf is made of
    settings: Settings, scope: Scope, login: Login, deliver: Deliver, end: asyncio.Event, *, streams: bool
) -> None:
    """Watch everything in scope until `end` is set. Raises whatever kopf met."""
    others = asyncio.all_tasks()
    roots = await kopf.spawn_tasks(
        registry=_registry(scope, login, deliver),
        memories=_NoMemories(),
        settings=kopf_settings(settings, scope, streams=streams),
        clusterwide=not scope.namespaces,
        namespaces=scope.namespaces,
        standalone=True,
        stop_flag=end,
        # Without one kopf asks for the name of the user, which a container's user id does not have.
        identity=settings.identity,  # type: ignore[arg-type]  # kopf does not export its NewType of str
    )
    try:
        await asyncio.wait(roots, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await stop(lambda: asyncio.all_tasks() - others)
    for error in [task.exception() for task in roots if not task.cancelled()]:
        if error is not None:
            raise error


async def stop(left: Callable[[], set[asyncio.Task[Any]]]) -> None:
    """Cancel tasks of kopf until none is left.

    In place of `kopf.run_tasks`, which cancels them once and then waits without limit: a watch that is cancelled while
    it asks the API server, together with the task that waits for a pause, takes that for a pause and asks again.
    https://github.com/nolar/kopf/issues/1168, https://github.com/nolar/kopf/issues/1276
    """
    while tasks := left():
        watching = {task for task in tasks if not task.get_name().startswith(_PAUSE_WAITER)}
        for task in watching or tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)


def _registry(scope: Scope, login: Login, deliver: Deliver) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, errors=kopf.ErrorsMode.TEMPORARY, backoff=5)(login)

    async def take(event: kopf.RawEvent, param: Any = None, **_: object) -> None:  # noqa: ANN401  # the kind
        deliver(param, event["type"], dict(event["object"]))

    for kind in scope.kinds:
        which = (kind.group, kind.version, kind.plural)
        kopf.on.event(*which, id=f"take-{kind.plural}", registry=registry, param=kind)(take)
    return registry


def kopf_settings(settings: Settings, scope: Scope, *, streams: bool) -> kopf.OperatorSettings:
    """`streams`: the API server sends the initial state by the watch; else kopf lists it, in pages."""
    out = kopf.OperatorSettings()
    out.posting.enabled = False
    out.scanning.disabled = True
    out.process.ultimate_exiting_timeout = None
    # A name of our own even though none is used: kopf operators with the default name remove each other's.
    # https://github.com/nolar/kopf/issues/664
    out.persistence.finalizer = f"{names.GROUP}/finalizer"
    out.persistence.diffbase_storage = _NoEssence([])
    out.persistence.progress_storage = kopf.MultiProgressStorage([])
    out.watching.initial_streaming = streams
    out.watching.chunk_size = settings.page_size
    # The API server parses whole seconds only.
    out.watching.server_timeout = int(settings.watch_seconds)
    out.watching.connect_timeout = _CONNECT_SECONDS
    out.queueing.idle_timeout = _IDLE_SECONDS
    out.networking.request_timeout = _REQUEST_SECONDS
    out.networking.connect_timeout = _CONNECT_SECONDS
    out.networking.error_backoffs = Backoffs()
    for kind in scope.kinds:
        if kind.group != names.GROUP and kind.namespaced:
            out.watching.label_selectors[kind.group, kind.version, kind.plural] = names.MANAGED_SELECTOR
    return out
