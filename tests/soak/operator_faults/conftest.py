"""The cluster of the fault tests."""

from tests.cluster.conftest import (
    api,
    cluster,
    kubelet,
    namespace,
    no_operator,
    one,
    operator,
    operator_kubeconfig,
    place,
    world,
)

__all__ = [
    "api",
    "cluster",
    "kubelet",
    "namespace",
    "no_operator",
    "one",
    "operator",
    "operator_kubeconfig",
    "place",
    "world",
]
