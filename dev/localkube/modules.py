"""The Go modules that the binaries come from: versions, cache keys, link flags. Pure, but for reading files.

Versions are pinned in one place, `modules/<name>/go.mod`; adding a Kubernetes minor means adding a directory.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from localkube.errors import UsageError
from localkube.paths import MODULES

BUILD_TAGS = "no_btrfs,no_zfs,no_devmapper"

# `go build` names a binary after its package; etcd's is .../etcd/server/v3.
RENAMES = {"server": "etcd"}

_KUBERNETES = re.compile(r"kubernetes-(\d+)\.(\d+)")

# Module path of the version, and where its linker stamp goes, for each module that is not Kubernetes. KubeRay's is a
# constant of its source.
_STAMPS: dict[str, tuple[str, str | None]] = {
    "containerd": ("github.com/containerd/containerd/v2", "github.com/containerd/containerd/v2/version.Version"),
    "coredns": ("github.com/coredns/coredns", "github.com/coredns/coredns/coremain.GitCommit"),
    "helm": ("helm.sh/helm/v4", "helm.sh/helm/v4/internal/version.version"),
    "helm-3": ("helm.sh/helm/v3", "helm.sh/helm/v3/internal/version.version"),
    "kuberay": ("github.com/ray-project/kuberay/ray-operator", None),
    "kwok": ("sigs.k8s.io/kwok", "sigs.k8s.io/kwok/pkg/consts.Version"),
    "kubeconform": ("github.com/yannh/kubeconform", "main.version"),
    "kube-score": ("github.com/zegl/kube-score", "main.version"),
}


@dataclass(frozen=True)
class GoModule:
    """One directory of `modules/`, with the commands that its `tool` directives name."""

    name: str
    version: str
    key: str
    tools: tuple[str, ...]
    ldflags: str
    path: Path

    @property
    def directory(self) -> str:
        """Name of the binaries' directory in the cache."""
        return f"{self.name}-{self.key}"


def load(name: str, root: Path = MODULES) -> GoModule:
    """Read the module `name`; an unknown one is a usage error that lists those there are."""
    path = root / name
    if not (path / "go.mod").is_file():
        raise UsageError(f"no module {name!r}; there are {', '.join(names(root))}")
    go_mod = (path / "go.mod").read_text(encoding="utf-8")
    go_sum = (path / "go.sum").read_bytes()
    version = required_version(go_mod, _version_path(name))
    return GoModule(
        name=name,
        version=version,
        key=cache_key(go_mod.encode(), go_sum),
        tools=tuple(RENAMES.get(tool, tool) for tool in map(binary_name, tool_packages(go_mod))),
        ldflags=link_flags(name, version),
        path=path,
    )


def names(root: Path = MODULES) -> list[str]:
    """All modules."""
    return sorted(path.parent.name for path in root.glob("*/go.mod"))


def kubernetes_minors(root: Path = MODULES) -> list[str]:
    """The Kubernetes minors that can be chosen, newest first: `['1.37', '1.36']`."""
    found = [match for name in names(root) if (match := _KUBERNETES.fullmatch(name))]
    ordered = sorted(((int(match[1]), int(match[2])) for match in found), reverse=True)
    return [f"{major}.{minor}" for major, minor in ordered]


def kubernetes_module(minor: str, root: Path = MODULES) -> GoModule:
    """The module of one Kubernetes minor."""
    if minor not in kubernetes_minors(root):
        raise UsageError(f"Kubernetes {minor!r} is not pinned here; there are {', '.join(kubernetes_minors(root))}")
    return load(f"kubernetes-{minor}", root)


def module_of_tool(tool: str, root: Path = MODULES) -> GoModule:
    """The module that builds the binary `tool`; of the Kubernetes minors the newest."""
    order = [f"kubernetes-{minor}" for minor in kubernetes_minors(root)]
    rest = [name for name in names(root) if name not in order]
    every = [load(name, root) for name in order + rest]
    for module in every:
        if tool in module.tools:
            return module
    known = sorted({name for module in every for name in module.tools})
    raise UsageError(f"no tool {tool!r}; there are {', '.join(known)}")


def cache_key(go_mod: bytes, go_sum: bytes) -> str:
    """First 12 hex of sha256 over go.mod, a separator and go.sum."""
    return hashlib.sha256(go_mod + b"\0" + go_sum).hexdigest()[:12]


def tool_packages(go_mod: str) -> list[str]:
    """The packages of the `tool` directives, single or in a block."""
    single = re.findall(r"^tool\s+([^\s(]+)\s*$", go_mod, re.MULTILINE)
    blocks = re.findall(r"^tool\s*\(\n(.*?)^\)", go_mod, re.MULTILINE | re.DOTALL)
    return single + [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def binary_name(package: str) -> str:
    """What `go build` calls the binary of `package`: the last element that is not a major version."""
    parts = package.split("/")
    return parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1]


def required_version(go_mod: str, module: str) -> str:
    """The version that go.mod requires of `module`, e.g. `v1.37.2`."""
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", go_mod, re.MULTILINE)
    if match is None:
        raise UsageError(f"go.mod does not require {module}")
    return match[1]


def _version_path(name: str) -> str:
    return "k8s.io/kubernetes" if _KUBERNETES.fullmatch(name) else _STAMPS[name][0]


def link_flags(name: str, version: str) -> str:
    """Strip symbols and stamp the version: an unstamped API server says v0.0.0-master and clients misbehave."""
    if not _KUBERNETES.fullmatch(name):
        stamp = _STAMPS[name][1]
        return f"-s -w -X {stamp}={version}" if stamp else "-s -w"
    major, minor = version.removeprefix("v").split(".")[:2]
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    stamps = [f"-X {package}.{key}={value}" for package in packages for key, value in values.items()]
    return " ".join(["-s", "-w", *stamps])
