"""The Service in front of the replicas."""

from typing import Any

from hipbmm_operator import names
from hipbmm_operator.api.spec import ServiceSpec
from hipbmm_operator.resources.owner import Owner

Json = dict[str, Any]


def build(owner: Owner, service: ServiceSpec) -> Json:
    """The Service, with the name of the resource."""
    metadata = owner.metadata()
    metadata["annotations"] = {**service.annotations, **metadata["annotations"]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": service.type,
            "selector": names.selector_labels(owner.name),
            "ports": [{"name": "http", "port": service.port, "protocol": "TCP", "targetPort": "http"}],
        },
    }
