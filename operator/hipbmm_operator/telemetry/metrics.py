"""Metrics of the operator. Labels are bounded: namespace and name by the resources that exist (`status_metrics`)."""

from prometheus_client import GC_COLLECTOR, REGISTRY, Counter, Gauge, Histogram

from hipbmm_operator.telemetry import status_metrics
from hipbmm_operator.telemetry.status_metrics import StatusMetrics

REGISTRY.unregister(GC_COLLECTOR)  # it says nothing that anybody asks for, in a dozen time series
_RECONCILE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

RECONCILES = Counter("hipbmm_reconcile", "Reconciles by result.", ["result"])
RECONCILE_SECONDS = Histogram(
    "hipbmm_reconcile_duration_seconds", "Duration of a reconcile.", buckets=_RECONCILE_BUCKETS
)
QUEUE_DEPTH = Gauge("hipbmm_workqueue_depth", "Resources that wait for a worker.")
QUEUE_AGE = Gauge("hipbmm_workqueue_oldest_seconds", "How long the first of them has waited.")
WRITES = Counter("hipbmm_api_writes", "Writes of children.", ["kind", "mode"])
SKIPPED = Counter("hipbmm_api_writes_skipped", "Applies that were not needed.", ["kind"])
STATUS_WRITES = Counter("hipbmm_status_writes", "Writes of the status.")
EVENTS = Counter("hipbmm_events", "Kubernetes Events by type.", ["type"])
WATCH_EVENTS = Counter("hipbmm_watch_events", "Watch events by kind.", ["kind"])
WATCH_LAST = Gauge("hipbmm_watch_last_response_timestamp_seconds", "When the API server last answered.", ["kind"])
WATCH_EVENT_LAST = Gauge("hipbmm_watch_last_event_timestamp_seconds", "When the last event of a watch came.", ["kind"])
WATCH_RESTARTS = Counter("hipbmm_watch_restarts", "Restarts of all watches after an error.")
LEADER = Gauge("hipbmm_leader", "1 while this process may write.")
OBJECTS = Gauge("hipbmm_objects", "Watched objects by kind.", ["kind"])
ADMISSIONS = Counter("hipbmm_admissions", "Pods that the webhook answered about, by result.", ["result"])
INFO = Gauge("hipbmm_build_info", "Version of the operator.", ["version"])
RESOURCES = StatusMetrics(status_metrics.RESOURCE, status_metrics.of_resource)
REGISTRY.register(RESOURCES)
PROFILES = StatusMetrics(status_metrics.PROFILE, status_metrics.of_profile)
REGISTRY.register(PROFILES)
