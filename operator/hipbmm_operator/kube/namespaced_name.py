"""TODO: what hipbmm_operator.kube.key is."""

from typing import NamedTuple


class NamespacedName(NamedTuple):
    """Namespace and name of a resource of ours: the unit of work."""

    namespace: str
    name: str
