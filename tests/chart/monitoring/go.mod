// The CRDs of the Prometheus operator (ServiceMonitor, PodMonitor, PrometheusRule), pinned by checksum. Nothing is compiled.
module hipbmm.io/tests/chart/monitoring

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0 // indirect
