"""All kopf decorators. A handler hands the event on and does nothing else; kopf is an informer here."""

from collections.abc import Callable, Iterable
from typing import Any

import kopf

from hipbmm_operator.kinds import Kind

Json = dict[str, Any]
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
