"""Command lines of etcd, API server, controller manager and scheduler. Pure."""

import json
from dataclasses import dataclass
from pathlib import Path

from localkube.certificates import FRONT_PROXY
from localkube.component import Component
from localkube.paths import Layout
from localkube.record import Record

# Fixed ports: the node profile has a network namespace of its own.
NODE_PORTS = {"apiserver": 6443, "etcd": 2379, "etcd-peer": 2380, "controller-manager": 10257, "scheduler": 10259}

# Many objects at once are the normal case of tests; the defaults (20 and 30) would make them wait for the client.
_CLIENT_RATES = {"fast": ("--kube-api-qps=300", "--kube-api-burst=600"), "kubernetes": ()}


@dataclass(frozen=True)
class ControlPlane:
    """Renders the components of one instance from its record."""

    record: Record
    layout: Layout
    binaries: Path

    @property
    def ports(self) -> dict[str, int]:
        """Port by role."""
        return NODE_PORTS if self.record.profile == "node" else self.record.ports

    @property
    def address(self) -> str:
        """What the API server listens on: never an address that other machines reach."""
        return self.record.networks.node_address if self.record.profile == "node" else "127.0.0.1"

    def components(self) -> list[Component]:
        """In start order. The later ones wait for the earlier by themselves."""
        return [self._etcd(), self._apiserver(), self._controller_manager(), self._scheduler()]

    def audit_policy(self) -> str:
        """Who did what, without bodies."""
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        }
        return json.dumps(policy, indent=2) + "\n"

    def _pki(self, file: str) -> str:
        return str(self.layout.pki / file)

    def _binary(self, name: str) -> str:
        return str(self.binaries / name)

    def _etcd(self) -> Component:
        client = f"https://127.0.0.1:{self.ports['etcd']}"
        peer = f"https://127.0.0.1:{self.ports['etcd-peer']}"
        tls = []
        for prefix in ("", "peer-"):
            tls += [f"--{prefix}cert-file={self._pki('etcd.crt')}", f"--{prefix}key-file={self._pki('etcd.key')}"]
            tls += [f"--{prefix}trusted-ca-file={self._pki('ca.crt')}", f"--{prefix}client-cert-auth"]
        return Component(
            "etcd",
            (
                self._binary("etcd"),
                f"--data-dir={self.layout.root / 'etcd'}",
                f"--name={self.record.name}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster={self.record.name}={peer}",
                # Survives kill -9 of every process; only a crash of the whole machine may lose the last writes.
                "--unsafe-no-fsync",
                "--quota-backend-bytes=4294967296",
                "--auto-compaction-mode=periodic",
                "--auto-compaction-retention=10m",
                "--log-level=warn",
                *tls,
            ),
        )

    def _apiserver(self) -> Component:
        etcd = [f"--etcd-servers=https://127.0.0.1:{self.ports['etcd']}", f"--etcd-cafile={self._pki('ca.crt')}"]
        etcd += [f"--etcd-certfile={self._pki('etcd.crt')}", f"--etcd-keyfile={self._pki('etcd.key')}"]
        audit = [
            f"--audit-policy-file={self.layout.config / 'audit-policy.json'}",
            f"--audit-log-path={self.layout.audit_log}",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=2",
        ]
        return Component(
            "kube-apiserver",
            (
                self._binary("kube-apiserver"),
                f"--bind-address={self.address}",
                f"--advertise-address={self.address}",
                f"--secure-port={self.ports['apiserver']}",
                f"--service-cluster-ip-range={self.record.networks.services}",
                f"--tls-cert-file={self._pki('apiserver.crt')}",
                f"--tls-private-key-file={self._pki('apiserver.key')}",
                f"--client-ca-file={self._pki('ca.crt')}",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
                # The only API server leaves at once: there is none that could take over its connections.
                "--shutdown-delay-duration=0s",
                # An endpoint of the service "kubernetes" on loopback is refused; in that profile no pod could use it.
                *(["--endpoint-reconciler-type=none"] if self.record.profile != "node" else []),
                *etcd,
                *audit,
                *self._apiserver_trust(),
            ),
        )

    def _apiserver_trust(self) -> tuple[str, ...]:
        """Certificates and keys towards kubelets, aggregated API servers and service accounts."""
        kubelet = [
            f"--kubelet-client-certificate={self._pki('apiserver-kubelet-client.crt')}",
            f"--kubelet-client-key={self._pki('apiserver-kubelet-client.key')}",
            f"--kubelet-certificate-authority={self._pki('ca.crt')}",
            # The node's name does not resolve.
            "--kubelet-preferred-address-types=InternalIP",
        ]
        aggregation = [
            f"--requestheader-client-ca-file={self._pki('ca.crt')}",
            f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={self._pki('front-proxy.crt')}",
            f"--proxy-client-key-file={self._pki('front-proxy.key')}",
        ]
        tokens = [
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self._pki('sa.pub')}",
            f"--service-account-signing-key-file={self._pki('sa.key')}",
        ]
        return (*kubelet, *aggregation, *tokens)

    def _controller_manager(self) -> Component:
        return Component(
            "kube-controller-manager",
            (
                self._binary("kube-controller-manager"),
                *self._client("controller-manager"),
                f"--service-account-private-key-file={self._pki('sa.key')}",
                f"--root-ca-file={self._pki('ca.crt')}",
                f"--cluster-signing-cert-file={self._pki('ca.crt')}",
                f"--cluster-signing-key-file={self._pki('ca.key')}",
                "--use-service-account-credentials=true",
                f"--service-cluster-ip-range={self.record.networks.services}",
            ),
        )

    def _scheduler(self) -> Component:
        return Component("kube-scheduler", (self._binary("kube-scheduler"), *self._client("scheduler")))

    def _client(self, role: str) -> list[str]:
        config = self.layout.config / f"{role}.kubeconfig"
        return [
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports[role]}",
            f"--cert-dir={self.layout.run / role}",
            # One of each kind: an election would only delay the start by the lease of the one that was killed.
            "--leader-elect=false",
            # At the first start the roles that allow the lookup are not there yet.
            "--authentication-tolerate-lookup-failure=true",
            *_CLIENT_RATES[self.record.rates],
        ]
