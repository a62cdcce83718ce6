"""The ServiceMonitor of a resource that asks for one, or did: read and not watched, for its kind may come and go."""

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.observed import Child, ServiceMonitorState

_AGAIN_SECONDS = 60.0


async def read(kube: Kube, owner: Metadata, spec: Spec | None, service: Child | None) -> ServiceMonitorState:
    """What there is; nothing is asked for a resource that has nothing to do with monitors. Raises ApiError."""
    wanted = spec is not None and spec.service.monitor.enabled
    if not wanted and (service is None or names.ANNOTATION_MONITORED not in service.meta.annotations):
        return ServiceMonitorState()
    try:
        live = await kube.get(kinds.SERVICE_MONITOR, owner.namespace, names.child(owner.name))
    except errors.NotFoundError as error:
        # An unknown kind is answered in plain text, a missing object with a Status.
        served = error.reason == "NotFound"
        return ServiceMonitorState(served=served, again=None if served or not wanted else _AGAIN_SECONDS)
    return ServiceMonitorState(parse.child(live))
