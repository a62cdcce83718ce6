"""Where things lie on this machine: the cache shared by all instances, and one directory for each instance."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localkube.errors import UsageError

PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parent.parent
MODULES = PACKAGE / "modules"

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?")


def cache_root(env: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_CACHE_HOME/hipbmm`, by default `~/.cache/hipbmm`."""
    return _xdg(env, "XDG_CACHE_HOME", ".cache") / "hipbmm"


def state_root(env: Mapping[str, str] = os.environ) -> Path:
    """`$HIPBMM_LOCALKUBE_DIR`, else `$XDG_STATE_HOME/hipbmm/localkube` (`~/.local/state` by default)."""
    own = env.get("HIPBMM_LOCALKUBE_DIR")
    if own:
        return Path(own).absolute()
    return _xdg(env, "XDG_STATE_HOME", ".local/state") / "hipbmm" / "localkube"


def _xdg(env: Mapping[str, str], variable: str, default: str) -> Path:
    # The XDG specification: a relative path in one of these variables is to be ignored.
    value = env.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    return Path(env.get("HOME") or "~").expanduser() / default


@dataclass(frozen=True)
class Layout:
    """The files of one instance. Everything below `root`, so that removing `root` forgets the instance."""

    root: Path

    @staticmethod
    def of(name: str, env: Mapping[str, str] = os.environ) -> "Layout":
        """The layout of the instance `name`; a name that cannot be a directory, host and cgroup name is refused."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"instance name {name!r}: use at most 24 of a-z, 0-9 and '-', starting with a letter")
        return Layout(state_root(env) / name)

    @property
    def name(self) -> str:
        """The instance's name."""
        return self.root.name

    @property
    def record(self) -> Path:
        """What was decided when the instance was made: ports, addresses, version."""
        return self.root / "instance.json"

    @property
    def lock(self) -> Path:
        """Held while `up` or `down` work."""
        return self.root.parent / f".{self.name}.lock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def config(self) -> Path:
        """Rendered configuration files; written anew at each `up`."""
        return self.root / "config"

    @property
    def logs(self) -> Path:
        """One log file for each component."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Sockets and process ids."""
        return self.root / "run"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, JSON lines at level Metadata."""
        return self.logs / "audit.log"

    @property
    def volumes(self) -> Path:
        """Directories of the PersistentVolumes."""
        return self.root / "volumes"

    @property
    def containerd_socket(self) -> Path:
        """Lies outside of the node's private /run, so that it can be reached from the host."""
        return self.run / "containerd.sock"

    @property
    def supervisor(self) -> Path:
        """Written by the supervisor: its process id and those of the components."""
        return self.run / "supervisor.json"


def instances(env: Mapping[str, str] = os.environ) -> list[Layout]:
    """All instances that exist, running or not, by name."""
    root = state_root(env)
    if not root.is_dir():
        return []
    return [Layout(path.parent) for path in sorted(root.glob("*/instance.json"))]
