"""Sends transitions of conditions as Kubernetes Events."""

import logging
from collections.abc import Iterable

from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner
from hipbmm_operator.status.transitions import Transition
from hipbmm_operator.telemetry import metrics

LOG = logging.getLogger(__name__)

_MAX_MESSAGE = 1024


def build(owner: Owner, transition: Transition) -> Json:
    """The Event. Its name follows from its content: the same transition is never sent twice."""
    digest = names.short_hash(f"{owner.uid}/{transition.reason}/{transition.time}", 16)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{names.child(owner.name)}.{digest}", "namespace": owner.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": owner.name,
            "namespace": owner.namespace,
            "uid": owner.uid,
        },
        "type": transition.type,
        "reason": transition.reason,
        "message": (transition.message or transition.reason)[:_MAX_MESSAGE],
        "firstTimestamp": transition.time,
        "lastTimestamp": transition.time,
        "count": 1,
        "source": {"component": names.FIELD_MANAGER},
    }


async def send(kube: Kube, owner: Owner, wanted: Iterable[Transition]) -> None:
    """Send them. Events are a courtesy: one that cannot be sent is logged and forgotten."""
    for transition in wanted:
        try:
            await kube.create(kinds.EVENT, build(owner, transition))
        except errors.AlreadyExistsError:
            continue
        except errors.ApiError as error:
            LOG.warning("Event %s was not sent: %s", transition.reason, error)
        else:
            metrics.EVENTS.labels(transition.type).inc()
