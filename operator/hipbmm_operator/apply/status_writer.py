"""Writes the status when it differs from what is stored, as far as the CRD keeps it."""

import logging
import re
from collections.abc import Callable

from hipbmm_operator.api.status import UNSEEN
from hipbmm_operator.apply.intent import digest
from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json, missing
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import Metadata, as_object
from hipbmm_operator.telemetry import metrics

LOG = logging.getLogger(__name__)

_MAX_REFUSAL = 512


class StatusWriter:
    """Keeps the status of resources of one kind.

    A CRD that is older than the operator drops fields that it does not know, or refuses values. What was lost is in
    `dropped`; the resource that has shown it tries now and then whether it still is. Others may have no such field.
    """

    def __init__(
        self,
        kube: Kube,
        saw: Callable[[Kind, Json], None],
        clock: Callable[[], float],
        retry_seconds: float,
        kind: Kind = kinds.HIPBMM_DEPLOYMENT,
    ) -> None:
        self.dropped = ""
        self.retry_seconds = retry_seconds
        self._kube = kube
        self._kind = kind
        self._saw = saw
        self._clock = clock
        self._stored: dict[str, tuple[str, str, bool]] = {}
        """By UID what was written, what is stored since, and whether a part of it was dropped."""
        self._tried = clock()
        self._witness = ""
        """UID of the resource whose status has shown what is in `dropped`."""

    async def store(self, owner: Metadata, before: Json, status: Json) -> bool:
        """Write the status if it differs from `before`, which is stored; whether it did.

        Raises ApiError, ConflictError when the uid is another.
        """
        patch = merge_patch(before, status)
        if not patch:
            self._note(owner.uid, "")
            return False
        # An older CRD drops fields that it does not know: then what is stored never equals what was written. Where
        # nothing was dropped and they differ all the same, the last `before` was out of date: it is written again.
        if self._stored.get(owner.uid) == (digest(status), digest(before), True) and not self._try_again(owner.uid):
            return False
        answer, refused = await self._patch(owner, before, status, patch)
        stored = as_object(answer.get("status"))
        dropped = refused or lost(status, stored)
        self._note(owner.uid, dropped)
        self._stored[owner.uid] = (digest(status), digest(stored), bool(dropped))
        self._saw(self._kind, answer)
        metrics.STATUS_WRITES.inc()
        return True

    async def _patch(self, owner: Metadata, before: Json, status: Json, patch: Json) -> tuple[Json, str]:
        """Write; when the CRD refuses values, without the fields that have them, and what it said."""
        try:
            return await self._merge(owner, patch), ""
        except errors.InvalidError as error:
            LOG.warning("The status is refused: %s", error)
            kept = without(status, before, error.message)
            if kept == status:
                raise
            answer = await self._merge(owner, merge_patch(before, kept))
            return answer, f"a value: {error.message[:_MAX_REFUSAL]}"

    async def _merge(self, owner: Metadata, patch: Json) -> Json:
        # The uid is a precondition: a new resource of the same name never gets the status of an old one.
        body = {"metadata": {"uid": owner.uid}, "status": patch}
        return await self._kube.merge(self._kind, owner.namespace, owner.name, body, "status")

    def _note(self, uid: str, dropped: str) -> None:
        """Note what the status of one resource has shown."""
        if self._witness in ("", uid):
            self.dropped, self._witness = dropped, uid if dropped else ""

    def _try_again(self, uid: str) -> bool:
        """Whether it is time to see if the CRD has been upgraded; one resource tries for all."""
        if uid != self._witness or self._clock() - self._tried < self.retry_seconds:
            return False
        self._tried = self._clock()
        return True

    def forget(self, uid: str) -> None:
        """The resource is gone."""
        self._stored.pop(uid, None)
        if uid == self._witness:
            self._note(uid, "")


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


def lost(sent: Json, stored: Json) -> str:
    """The first field of a status that is not in what the API server stored; "" when all of them are."""
    return re.sub(r"\[\d+\]", "[]", next(missing(sent, stored, "status"), ""))  # whichever entry of a list it is


def without(status: Json, before: Json, refusal: str) -> Json:
    """A status whose fields that a refusal names are as they were before, or left out."""
    named = set(re.findall(r"\bstatus\.([A-Za-z]+)", refusal)) - {"conditions"}
    kept = {key: value for key, value in status.items() if key not in named}
    back = {key: before[key] for key in named if key in before}
    # Every CRD has the first phase, and needs one.
    return ({"phase": UNSEEN["phase"]} if "phase" in named else {}) | back | kept
