"""The Service in front of the replicas, and the ServiceMonitor: where the Prometheus operator finds their metrics."""

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.pods import contract


def url(owner: Metadata, spec: Spec, *, tls: bool) -> str:
    """Base URL of the server inside the cluster."""
    scheme, usual = ("https", 443) if tls else ("http", 80)
    port = "" if spec.service.port == usual else f":{spec.service.port}"
    return f"{scheme}://{names.child(owner.name)}.{owner.namespace}.svc{port}"


def shows_sidecar(spec: Spec) -> bool:
    """Whether the Service has a port for the metrics of the sidecar."""
    return spec.service.monitor.enabled and spec.tuning.harvest


def build(owner: Metadata, spec: Spec, *, monitored: bool, tls: bool) -> Json:
    """The Service, with the name of the resource.

    `monitored`: there is, or was, a ServiceMonitor of it. `tls`: the server answers by HTTPS, which meshes and gateways
    would not guess from the port's name.
    """
    metadata = owner.of_child()
    own = {**metadata["annotations"]} | ({names.ANNOTATION_MONITORED: "true"} if monitored else {})
    metadata["annotations"] = {**spec.service.annotations, **own}
    protocol = {"appProtocol": "https"} if tls else {}
    ports = [{"name": "http", "port": spec.service.port, "protocol": "TCP", "targetPort": "http", **protocol}]
    if shows_sidecar(spec):
        port = contract.METRICS_PORT
        ports.append({"name": "hipbmm", "port": port, "protocol": "TCP", "targetPort": "hipbmm"})
    body = {"type": spec.service.type, "selector": names.selector_labels(owner.name), "ports": ports}
    return kinds.SERVICE.body(metadata, spec=body)


def build_monitor(owner: Metadata, spec: Spec, *, tls: bool) -> Json:
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
