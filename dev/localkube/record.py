"""What was decided when an instance was made, kept over restarts."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localkube.addresses import Network, Networks
from localkube.errors import LocalkubeError

PROFILES = ("control-plane", "node")
RATES = ("fast", "kubernetes")
"""Requests per second of the controllers and the scheduler: as many as tests want, or the defaults of Kubernetes."""


@dataclass(frozen=True)
class Record:
    """One instance. `ports` matter in the control-plane profile; the node has its own network namespace."""

    name: str
    profile: str
    kubernetes: str
    block: str
    ports: dict[str, int]
    rates: str = RATES[0]

    @property
    def networks(self) -> Networks:
        """The instance's networks."""
        return Networks(Network(self.block))

    @property
    def node_name(self) -> str:
        """Name of the Node object, of the cgroup and of the pid namespace's host."""
        return f"localkube-{self.name}"

    @property
    def server(self) -> str:
        """The API server's address as the host sees it."""
        if self.profile == "node":
            return f"https://{self.networks.node_address}:6443"
        return f"https://127.0.0.1:{self.ports['apiserver']}"

    def save(self, path: Path) -> None:
        """Write by rename, so that a reader never sees half a record."""
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        scratch.replace(path)


def load(path: Path) -> Record | None:
    """The record, None when there is none; an unreadable one says what to do."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        value: dict[str, Any] = json.loads(text)
        return Record(**value)
    except (ValueError, TypeError) as error:
        raise LocalkubeError(f"{path} cannot be read ({error}); `localkube down` removes the instance") from error
