"""Sends transitions of conditions as Kubernetes Events."""

import logging
from collections.abc import Iterable

from hipbmm_operator.api.resource import Resource, readable
from hipbmm_operator.api.status import Status
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.status.transitions import Transition, transitions
from hipbmm_operator.telemetry import metrics

LOG = logging.getLogger(__name__)

_MAX_MESSAGE = 1024


def of_changes(resource: Resource, status: Json) -> list[Json]:
    """The Events of what changed from the stored status of a HipbmmDeployment to the next one."""
    changes = transitions(resource.previous.conditions, readable(Status, status).conditions)
    return [build(resource.meta, change) for change in changes]


def build(owner: Metadata, transition: Transition) -> Json:
    """The Event. Its name follows from its content: the same transition is never sent twice."""
    about = kinds.HIPBMM_DEPLOYMENT.reference(owner.name, owner.uid) | {"namespace": owner.namespace}
    return body(about, f"{owner.uid}/{transition.reason}/{transition.time}", transition)


def body(about: Json, content: str, transition: Transition) -> Json:
    """An Event on the object `about`; its name is made of a hash of `content`."""
    name = f"{names.child(about['name'])}.{names.short_hash(content, 16)}"
    return kinds.EVENT.body(
        {"name": name, "namespace": about["namespace"]},
        involvedObject=about,
        type=transition.type,
        reason=transition.reason,
        message=(transition.message or transition.reason)[:_MAX_MESSAGE],
        firstTimestamp=transition.time,
        lastTimestamp=transition.time,
        count=1,
        source={"component": names.FIELD_MANAGER},
    )


async def send(kube: Kube, wanted: Iterable[Json]) -> None:
    """Send Events. Nothing depends on them: one that cannot be sent is logged and dropped."""
    for event in wanted:
        try:
            await kube.create(kinds.EVENT, event)
        except errors.AlreadyExistsError:
            continue
        except errors.ApiError as error:
            LOG.warning("Event %s was not sent: %s", event["reason"], error)
        else:
            metrics.EVENTS.labels(event["type"]).inc()
