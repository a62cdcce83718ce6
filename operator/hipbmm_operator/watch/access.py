"""What the operator may list and watch, tried now and then in each namespace that it serves.

A right that is taken away does not end a watch that is open, and the operator would act on what it remembers. So it
asks; what it may not see it leaves as it is, and the status says so.
"""

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.kinds import NODE, Kind

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scope:
    """Kinds to watch, in which namespaces; without a namespace in all of them. No kinds: nothing may be seen."""

    kinds: tuple[Kind, ...]
    namespaces: tuple[str, ...]

    def paths(self, prefix: str = "") -> dict[str, Kind]:
        """The kind by the path of each watch; `prefix` is the path of the API server's own address."""
        return {
            prefix + kind.path(namespace): kind
            for kind in self.kinds
            for namespace in ((self.namespaces or ("",)) if kind.namespaced else ("",))
        }


class Rights:
    """What was refused when it was last tried."""

    def __init__(self, kube: Kube, kinds: Iterable[Kind], namespaces: Sequence[str]) -> None:
        self._kube = kube
        self._kinds = tuple(kinds)
        self._namespaces = tuple(namespaces)
        self._refused: dict[tuple[Kind, str], str] = {}

    async def first(self) -> None:
        """Try to list everything, until the API server answers."""
        while True:
            try:
                await self.refresh(watches=False)
            except errors.ApiError as error:
                LOG.warning("The API server does not answer: %s", error)
                await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311  # jitter
            else:
                return

    async def run(self, seconds: float, changed: Callable[[], None]) -> None:
        """Try everything at this interval, until cancelled; call `changed` when an answer is another than before."""
        while True:
            await asyncio.sleep(seconds * random.uniform(0.9, 1.1))  # noqa: S311  # jitter
            try:
                if await self.refresh():
                    changed()
            except errors.ApiError:
                continue  # the next try is not far

    async def refresh(self, *, watches: bool = True) -> bool:
        """Try everything; whether anything is other than before. Raises ApiError when the API server does not answer.

        One namespace after the other; without `watches` only lists, each watch takes a second.
        """
        refused: dict[tuple[Kind, str], str] = {}
        for namespace in ("", *self._namespaces):
            places = [(kind, namespace) for kind in self._kinds if self._is_place(kind, namespace)]
            tries = (self._kube.refusal(kind, namespace, watch=watches) for kind, namespace in places)
            answers = await asyncio.gather(*tries)
            refused |= {place: answer for place, answer in zip(places, answers, strict=True) if answer}
        before, self._refused = self._refused, refused
        if refused.keys() == before.keys():
            return False
        for refusal in sorted(set(refused.values())):
            LOG.warning("The operator may not list or watch: %s", refusal)
        return True

    def may(self, kind: Kind, namespace: str = "") -> bool:
        """Whether a kind may be listed and watched in a namespace (all of them for "" )."""
        return (kind, namespace) not in self._refused

    def no_access(self, namespace: str) -> str:
        """Why resources of a namespace are left as they are, "" when they are not. Nodes are optional."""
        for kind, place in itertools.product(self._kinds, {"", namespace}):
            if kind != NODE and (refusal := self._refused.get((kind, place))):
                return refusal
        return ""

    def scope(self) -> Scope:
        """What can be watched. A namespace is seen whole or not at all."""
        if not self._namespaces:
            return Scope(tuple(kind for kind in self._kinds if self.may(kind)), ())
        seen = tuple(namespace for namespace in self._namespaces if not self.no_access(namespace))
        kinds = tuple(kind for kind in self._kinds if kind.namespaced or self.may(kind))
        return Scope(kinds if seen else (), seen)

    def _is_place(self, kind: Kind, namespace: str) -> bool:
        """Whether a kind is watched there; "" is everywhere, as for what belongs to no namespace."""
        return bool(namespace) if kind.namespaced and self._namespaces else not namespace
