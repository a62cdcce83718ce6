"""What the operator may see: the rights to list and to watch, tried now and then in each namespace that it serves.

A right that is taken away does not end a watch that is open, and later the operator would act on what it remembers. So
it asks; what it may not see it leaves as it is, and says so in the status.
"""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.kinds import NODE, Kind


@dataclass(frozen=True, slots=True)
class Scope:
    """Kinds to watch, in which namespaces; without a namespace in all of them. `nothing`: none may be seen."""

    kinds: tuple[Kind, ...]
    namespaces: tuple[str, ...]
    nothing: bool = False


class Rights:
    """What was refused when it was last tried."""

    def __init__(self, kube: Kube, kinds: Iterable[Kind], namespaces: Sequence[str]) -> None:
        self._kube = kube
        self._kinds = tuple(kinds)
        self._namespaces = tuple(namespaces)
        self._refused: dict[tuple[Kind, str], str] = {}

    async def look(self, *, thoroughly: bool = True) -> bool:
        """Try everything; whether anything is other than before. Raises ApiError when the API server does not tell.

        One namespace after the other; without `thoroughly` only lists, each watch takes a second.
        """
        refused: dict[tuple[Kind, str], str] = {}
        for namespace in ("", *self._namespaces):
            places = [(kind, namespace) for kind in self._kinds if self._is_place(kind, namespace)]
            tries = (self._kube.refusal(kind, namespace, watch=thoroughly) for kind, namespace in places)
            answers = await asyncio.gather(*tries)
            refused |= {place: answer for place, answer in zip(places, answers, strict=True) if answer}
        before, self._refused = self._refused, refused
        return refused.keys() != before.keys()

    def may(self, kind: Kind, namespace: str = "") -> bool:
        """Whether a kind may be listed and watched in a namespace (all of them for "" )."""
        return (kind, namespace) not in self._refused

    def blind(self, namespace: str) -> str:
        """Why resources of a namespace are left as they are, "" when they are not. Nodes are optional."""
        for kind, place in itertools.product(self._kinds, {"", namespace}):
            if kind != NODE and (refusal := self._refused.get((kind, place))):
                return refusal
        return ""

    def refusals(self) -> list[str]:
        """All that was refused, in the API server's words."""
        return sorted(set(self._refused.values()))

    def scope(self) -> Scope:
        """What can be watched. A namespace is seen whole or not at all."""
        if not self._namespaces:
            kinds = tuple(kind for kind in self._kinds if self.may(kind))
            return Scope(kinds, (), nothing=not kinds)
        seen = tuple(namespace for namespace in self._namespaces if not self.blind(namespace))
        kinds = tuple(kind for kind in self._kinds if kind.namespaced or self.may(kind))
        return Scope(kinds, seen, nothing=not seen)

    def _is_place(self, kind: Kind, namespace: str) -> bool:
        """Whether a kind is watched there; "" is everywhere, as for what belongs to no namespace."""
        return bool(namespace) if kind.namespaced and self._namespaces else not namespace
