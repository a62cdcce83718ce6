"""What a namespace asks of pods, read when a pod template is about to be rendered."""

from collections.abc import Callable

from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.observe.kept import Kept
from hipbmm_operator.resources.circumstances import Rules, admits_non_root_only, bounds_of

_KEPT_SECONDS = 30.0
"""Many resources are often made at once in one namespace."""
_NOT_TO_BE_READ = (errors.ForbiddenError, errors.NotFoundError)


class NamespaceRules:
    """Reads LimitRanges and the Pod Security Standard of a namespace. What may not be read is no rule."""

    def __init__(self, kube: Kube, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._kept = Kept(clock)

    async def at(self, namespace: str) -> Rules:
        """The rules of a namespace; raises ApiError."""
        return await self._kept.get(namespace, _KEPT_SECONDS, lambda: self._read(namespace))

    async def _read(self, namespace: str) -> Rules:
        try:
            bodies = [body async for page in self._kube.pages(kinds.LIMIT_RANGE, namespace) for body in page.items]
        except _NOT_TO_BE_READ:
            bodies = []
        try:
            non_root = admits_non_root_only(await self._kube.get(kinds.NAMESPACE, "", namespace))
        except _NOT_TO_BE_READ:
            non_root = False
        return Rules(bounds_of(bodies), non_root)
