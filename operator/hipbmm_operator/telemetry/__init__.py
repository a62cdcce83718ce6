"""What the process says about itself: logs, metrics and probes.

In: log records with the resource that they are about (`logs.OBJECT`), counts from all rooms, and the status of each
resource and profile (`metrics.RESOURCES`, `metrics.PROFILES`). Out: one JSON object per line on stderr, and /metrics,
/healthz and /readyz of `serving`. Labels of metrics are bounded by the resources that exist: a resource that is gone
takes its samples with it, and a process without the Lease has none. Whether the process is healthy is decided in
`manager`; the server only asks.

Never: a secret in a log, an unbounded label, a write to the cluster. Any room above may import it; it imports `kube/`
only.
"""
