"""A namespace of its own, and the example rolled out in it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from demo import checks, install, view
from demo.cluster import Cluster
from demo.kubectl import Kubectl

Json = dict[str, Any]


@contextlib.contextmanager
def workspace(cluster: Cluster, name: str) -> Iterator[Kubectl]:
    """A namespace of its own, gone afterwards with all that was in it."""
    install.namespace(cluster.kubectl, name)
    try:
        yield cluster.kubectl.within(name)
    finally:
        cluster.kubectl.run("delete", "namespace", name, "--wait=true", timeout=1200)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A settled HipbmmDeployment of the example."""

    cluster: Cluster
    kubectl: Kubectl
    name: str

    def resource(self) -> Json:
        """As it is now."""
        return self.kubectl.get("hipbmmdeployment", self.name)

    def settle(self, seconds: float) -> Json:
        """Wait until it is tuned, warm and ready at the asked size."""
        return view.watch(self.kubectl, self.name, checks.settled, seconds)
