"""The Lease: two operators never write at once.

Expiry is measured by this process's own steady clock since the record was last seen to change; clocks of different
machines are never compared. Writes stop (see `may_write`) well before somebody else may take the Lease.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, object_at
from hipbmm_operator.settings import Settings

LOG = logging.getLogger(__name__)


_RENEWED = ("holderIdentity", "renewTime", "leaseTransitions")
"""Of these one changes with every renewal."""


def may_take(spec: Json, identity: str, silent: float) -> bool:
    """Whether a process may take the Lease: it is its own, free, or the holder is `silent` for too many seconds."""
    holder = spec.get("holderIdentity")
    if not holder or holder == identity:
        return True
    seconds = spec.get("leaseDurationSeconds")
    return silent > (seconds if isinstance(seconds, int) and seconds > 0 else 0)


class Leader:
    """Takes and keeps the Lease."""

    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        answers_again: Callable[[], None] = lambda: None,
    ) -> None:
        self._kube = kube
        self._answers_again = answers_again
        self._settings = settings
        self._clock = clock
        self._seen: tuple[list[object], float] = ([], 0.0)
        """The record of the Lease, and when it was last seen to change."""
        self._renewed: float | None = None
        self._taken = 0.0
        self._leads = asyncio.Event()
        self._attempt: asyncio.Task[None] | None = None
        self.answered: float = clock()
        """When the API server last answered; distinguishes a dead API server from a dead watch."""

    def may_write(self) -> bool:
        """Whether the last renewal is young enough for a write to end before the Lease can pass on."""
        return self._renewed is not None and self._clock() - self._renewed < self._settings.lease_deadline_seconds

    def holds(self) -> bool:
        """Whether the Lease is ours as far as this process knows: also while the API server does not answer."""
        return self._renewed is not None

    def held(self) -> float:
        """Seconds since the Lease was taken; 0 without it."""
        return self._clock() - self._taken if self.holds() else 0.0

    async def wait(self) -> None:
        """Until this process may write."""
        while not self.may_write():
            self._leads.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.lease_renew_seconds):
                    await self._leads.wait()

    async def run(self) -> None:
        """Take the Lease when it is free, renew it, for ever."""
        self.answered = self._clock()
        while True:
            # Shielded: a request that is cut off may still be carried out, and `release` must know of it.
            self._attempt = asyncio.create_task(self._try())
            await asyncio.shield(self._attempt)
            share = random.uniform(0.9, 1.1)  # noqa: S311  # spreads load, is no secret
            await asyncio.sleep(self._settings.lease_renew_seconds * share)

    async def release(self) -> None:
        """Give the Lease back, so that a successor need not wait, when `run` has been cancelled."""
        if self._attempt is not None:
            await asyncio.wait({self._attempt})
        self._renewed = None
        with contextlib.suppress(errors.ApiError):
            lease = await self._get() or {}
            spec = object_at(lease, "spec")
            if spec.get("holderIdentity") == self._settings.identity:
                lease["spec"] = spec | {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._kube.replace(kinds.LEASE, lease)

    async def _try(self) -> None:
        started = self._clock()
        try:
            renewed = await self._renew()
        except errors.UnavailableError as error:
            LOG.warning("The Lease could not be renewed: %s", error)
            return
        except errors.ApiError as error:
            self._heard()
            if not isinstance(error, errors.ConflictError):  # somebody was faster
                LOG.warning("The Lease is refused: %s", error)
            return
        self._heard()
        if not renewed:
            if self._renewed is not None:
                LOG.warning("The Lease has passed on; no more writes")
            self._renewed = None
            return
        if self._renewed is None:
            LOG.info("Holds the Lease as %s", self._settings.identity)
            self._taken = started
        # The start of the request counts: the server may have stored it then, and others count from there.
        self._renewed = started
        self._leads.set()

    def _heard(self) -> None:
        """The API server has answered; when it had not for long, whoever waits for it need not wait longer."""
        silent, self.answered = self._clock() - self.answered, self._clock()
        if silent > self._settings.lease_deadline_seconds:
            LOG.info("The API server answers again after %.0f s", silent)
            self._answers_again()

    async def _renew(self) -> bool:
        """One attempt; whether the Lease is ours now. Raises ApiError."""
        lease = await self._get()
        if lease is None:
            await self._kube.create(kinds.LEASE, self._lease({}, {}))
            return True
        spec, now = as_object(lease.get("spec")), self._clock()
        record: list[object] = [spec.get(key) for key in _RENEWED]
        if record != self._seen[0]:
            self._seen = record, now
        if not may_take(spec, self._settings.identity, now - self._seen[1]):
            return False
        await self._kube.replace(kinds.LEASE, self._lease(lease, spec))
        return True

    async def _get(self) -> Json | None:
        return await self._kube.find(kinds.LEASE, self._settings.namespace, self._settings.lease_name)

    def _lease(self, lease: Json, spec: Json) -> Json:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = spec.get("holderIdentity") == self._settings.identity
        transitions = spec.get("leaseTransitions")
        count = transitions if isinstance(transitions, int) else 0
        # Labels and annotations of others stay.
        own = {"name": self._settings.lease_name, "namespace": self._settings.namespace}
        claim = {
            "holderIdentity": self._settings.identity,
            "leaseDurationSeconds": max(1, round(self._settings.lease_seconds)),
            "acquireTime": spec.get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": count if mine or not spec else count + 1,
        }
        return kinds.LEASE.body(object_at(lease, "metadata") | own, spec=claim)
