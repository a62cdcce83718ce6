"""The ServiceMonitor: where the Prometheus operator finds the metrics of the replicas."""

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner


def build(owner: Owner, spec: Spec) -> Json:
    """The ServiceMonitor of the server's metrics and, where there is one, of the sidecar's."""
    monitor = spec.service.monitor
    metadata = owner.metadata()
    metadata["labels"] = {**monitor.labels, **metadata["labels"]}
    interval = {"interval": monitor.interval} if monitor.interval else {}
    ports = ["http", *(["hipbmm"] if spec.tuning.harvest else [])]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": names.selector_labels(owner.name)},
            "endpoints": [{"port": port, "path": "/metrics", **interval} for port in ports],
        },
    }
