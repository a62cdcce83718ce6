"""The cluster of the fault tests."""

from tests.cluster.conftest import api, cluster, kubelet, no_operator, one, operator, operator_kubeconfig, place

__all__ = ["api", "cluster", "kubelet", "no_operator", "one", "operator", "operator_kubeconfig", "place"]
