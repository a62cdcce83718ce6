"""The files that an instance's components read, written anew at each `up`."""

from pathlib import Path

from localkube import certificates, kubeconfig
from localkube.controlplane import ControlPlane
from localkube.paths import Layout
from localkube.record import Record

_LOG_LIMIT = 64 * 1024 * 1024

# User by the kubeconfig's file name; each is a certificate of `certificates.cluster_certificates`.
CLIENTS = ("controller-manager", "scheduler", "kube-proxy", "kubelet", "dns")


def write(record: Record, layout: Layout, plane: ControlPlane) -> None:
    """Directories, certificates, kubeconfigs and the audit policy."""
    for directory in (layout.root, layout.config, layout.logs, layout.run):
        directory.mkdir(parents=True, exist_ok=True)
    layout.root.chmod(0o755)
    networks = record.networks
    wanted = certificates.cluster_certificates(record.node_name, networks.kubernetes_service, networks.node_address)
    certificates.ensure(layout.pki, wanted)
    for user in CLIENTS:
        private(layout.config / f"{user}.kubeconfig", kubeconfig.render(record.name, record.server, layout.pki, user))
    private(layout.kubeconfig, kubeconfig.render(record.name, record.server, layout.pki, "admin"))
    (layout.config / "audit-policy.json").write_text(plane.audit_policy(), encoding="utf-8")
    for log in layout.logs.glob("*.log"):
        # The audit log is rotated by the API server.
        if log != layout.audit_log and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))


def private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, unless it says the same already (watchers of it are not disturbed)."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    scratch = path.with_suffix(".tmp")
    scratch.touch(mode=0o600)
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
