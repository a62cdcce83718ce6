"""Writes the status when it differs from what is stored, then tells the transitions as Events."""

import logging
from collections.abc import Callable
from typing import Any

from hipbmm_operator import events, kinds, metrics
from hipbmm_operator.intent import digest
from hipbmm_operator.kinds import Kind
from hipbmm_operator.kube import Kube
from hipbmm_operator.resource import Resource

Json = dict[str, Any]
LOG = logging.getLogger(__name__)


def merge_patch(before: Json, after: Json) -> Json:
    """The JSON merge patch (RFC 7386) that turns `before` into `after`."""
    patch: Json = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = merge_patch(old, value)
            if inner:
                patch[key] = inner
        elif value != old or key not in before:
            patch[key] = value
    return patch


class Scribe:
    """Keeps the status of resources."""

    def __init__(self, kube: Kube, saw: Callable[[Kind, Json], None]) -> None:
        self._kube = kube
        self._saw = saw
        self._stored: dict[str, tuple[str, str]] = {}

    async def write(self, resource: Resource, status: Json) -> bool:
        """Write the status if it differs; whether it did. Raises ApiError, ConflictError when the uid is another."""
        before = resource.raw_status
        patch = merge_patch(before, status)
        owner = resource.owner
        # An older CRD drops fields that it does not know: then what is stored never equals what was written.
        if not patch or self._stored.get(owner.uid) == (digest(status), digest(before)):
            return False
        # The uid is a precondition: a new resource of the same name never gets the status of an old one.
        body = {"metadata": {"uid": owner.uid}, "status": patch}
        answer = await self._kube.merge(kinds.DEPLOYMENTS_OF_OURS, owner.namespace, owner.name, body, "status")
        stored = answer.get("status") or {}
        self._stored[owner.uid] = (digest(status), digest(stored))
        self._saw(kinds.DEPLOYMENTS_OF_OURS, answer)
        metrics.STATUS_WRITES.inc()
        before_conditions = before.get("conditions") or []
        await events.send(self._kube, owner, events.transitions(before_conditions, status["conditions"]))
        return True

    def forget(self, uid: str) -> None:
        """The resource is gone."""
        self._stored.pop(uid, None)
