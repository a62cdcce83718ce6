"""The ServiceMonitor: where the Prometheus operator finds the metrics of the replicas."""

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata


def build(owner: Metadata, spec: Spec, *, tls: bool) -> Json:
    """The ServiceMonitor of the server's metrics and, where there is one, of the sidecar's.

    `tls`: the server answers by HTTPS. Pods are scraped by address, which no certificate names.
    """
    monitor = spec.service.monitor
    metadata = owner.of_child()
    metadata["labels"] = {**monitor.labels, **metadata["labels"]}
    interval = {"interval": monitor.interval} if monitor.interval else {}
    secure = {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}} if tls else {}
    endpoints = [{"port": "http", "path": "/metrics", **secure, **interval}]
    if spec.tuning.harvest:
        endpoints.append({"port": "hipbmm", "path": "/metrics", **interval})
    selector = {"matchLabels": names.selector_labels(owner.name)}
    return kinds.SERVICE_MONITOR.body(metadata, spec={"selector": selector, "endpoints": endpoints})
