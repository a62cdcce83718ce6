"""A certificate authority for one instance, with the `openssl` command. Keys never leave the instance's directory."""

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from localkube.errors import LocalkubeError

# The API server forwards requests for aggregated APIs under this name, the only one that may speak for other users.
FRONT_PROXY = "front-proxy-client"

_DAYS = "3650"
_STAMP = "inputs.sha256"


@dataclass(frozen=True)
class Certificate:
    """One leaf certificate: file name, subject, and the names and addresses it is valid for."""

    name: str
    common_name: str
    organization: str = ""
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    server: bool = False

    @property
    def subject(self) -> str:
        """As openssl wants it. Kubernetes reads groups from O and the user from CN."""
        group = f"/O={self.organization}" if self.organization else ""
        return f"{group}/CN={self.common_name}"

    @property
    def extensions(self) -> str:
        """The x509 extensions. Servers are clients as well: etcd speaks to itself."""
        lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
        lines.append("extendedKeyUsage=clientAuth" + (",serverAuth" if self.server else ""))
        alternatives = [f"DNS:{host}" for host in self.hosts] + [f"IP:{address}" for address in self.addresses]
        if alternatives:
            lines.append("subjectAltName=" + ",".join(alternatives))
        return "\n".join(lines) + "\n"


def cluster_certificates(node_name: str, service_address: str, node_address: str) -> list[Certificate]:
    """All leaf certificates of an instance. Loopback is in each server's, so that a changed port changes none."""
    local = ("127.0.0.1",)
    api_names = tuple(f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc"))
    api_hosts = (*api_names, "kubernetes.default.svc.cluster.local", "localhost", node_name)
    api_addresses = (*local, service_address, node_address)
    return [
        Certificate("apiserver", "kube-apiserver", hosts=api_hosts, addresses=api_addresses, server=True),
        Certificate("etcd", "etcd", hosts=("localhost",), addresses=local, server=True),
        Certificate("kubelet-server", node_name, hosts=(node_name,), addresses=(node_address,), server=True),
        Certificate("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Certificate("admin", "kubernetes-admin", "system:masters"),
        Certificate("controller-manager", "system:kube-controller-manager"),
        Certificate("scheduler", "system:kube-scheduler"),
        Certificate("kube-proxy", "system:kube-proxy"),
        Certificate("kubelet", f"system:node:{node_name}", "system:nodes"),
        Certificate("front-proxy", FRONT_PROXY),
        Certificate("dns", "localkube:dns", "system:masters"),
        # A user of its own, so that its writes are told apart in the audit log.
        Certificate("provisioner", "localkube:provisioner", "system:masters"),
    ]


def ensure(directory: Path, certificates: list[Certificate]) -> None:
    """Make what is missing. The authority and the service account key stay; leaves change when their content does."""
    if shutil.which("openssl") is None:
        raise LocalkubeError("the openssl command is missing: install the package openssl")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (directory / "ca.crt").exists():
        _authority(directory)
    if not (directory / "sa.key").exists():
        _openssl(directory, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "sa.tmp")
        _openssl(directory, "pkey", "-in", "sa.tmp", "-pubout", "-out", "sa.pub")
        (directory / "sa.tmp").rename(directory / "sa.key")
    wanted = hashlib.sha256(repr(certificates).encode()).hexdigest()
    stamp = directory / _STAMP
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    for certificate in certificates:
        _leaf(directory, certificate)
    stamp.write_text(wanted, encoding="ascii")


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256")


def _authority(directory: Path) -> None:
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")
    files = ("-keyout", "ca.key", "-out", "ca.tmp")
    _openssl(directory, "req", "-x509", *_NEW_KEY, "-days", _DAYS, "-subj", "/CN=localkube", *usage, *files)
    (directory / "ca.tmp").rename(directory / "ca.crt")


def _leaf(directory: Path, certificate: Certificate) -> None:
    name = certificate.name
    (directory / f"{name}.ext").write_text(certificate.extensions, encoding="utf-8")
    subject = ("-subj", certificate.subject)
    _openssl(directory, "req", "-new", *_NEW_KEY, *subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
    signer = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", _DAYS, "-sha256")
    files = ("-in", f"{name}.csr", "-extfile", f"{name}.ext", "-out", f"{name}.crt")
    _openssl(directory, "x509", "-req", *signer, *files)


def _openssl(directory: Path, *arguments: str) -> None:
    result = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LocalkubeError(f"openssl {arguments[0]} failed: {result.stderr.strip()}")
