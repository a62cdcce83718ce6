"""Namespace and name, as controller-runtime calls the key of a resource."""

from typing import NamedTuple


class NamespacedName(NamedTuple):
    """Namespace and name of a resource of ours: the unit of work."""

    namespace: str
    name: str
