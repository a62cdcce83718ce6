"""The ServiceMonitor of a resource that asks for one, or did: read and not watched, for its kind may come and go."""

from dataclasses import dataclass

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner
from hipbmm_operator.kube.ownership import annotation

_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """`live` is the ServiceMonitor, `served` whether the cluster knows such things."""

    live: Json | None = None
    served: bool = True
    again: float | None = None


async def look(kube: Kube, owner: Owner, spec: Spec | None, service: Json | None) -> Seen:
    """What there is; nothing is asked for a resource that has nothing to do with monitors. Raises ApiError."""
    wanted = spec is not None and spec.service.monitor.enabled
    if not wanted and annotation(service, names.ANNOTATION_MONITORED) is None:
        return Seen()
    try:
        return Seen(await kube.get(kinds.SERVICE_MONITOR, owner.namespace, names.child(owner.name)))
    except errors.NotFoundError as error:
        # An unknown kind is told in plain text, a missing object in a Status.
        served = error.reason == "NotFound"
        return Seen(served=served, again=None if served or not wanted else _AGAIN_SECONDS)
