import ssl
import subprocess
from pathlib import Path

import pytest

from localkube import certificates
from localkube.certificates import Certificate
from localkube.errors import LocalkubeError


def text_of(path: Path) -> str:
    command = ["openssl", "x509", "-in", str(path), "-noout", "-text", "-nameopt", "RFC2253"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_leaves_are_signed_by_the_authority_and_say_who_they_are(tmp_path: Path) -> None:
    server = Certificate("apiserver", "kube-apiserver", hosts=("kubernetes",), addresses=("127.0.0.1",), server=True)
    admin = Certificate("admin", "kubernetes-admin", "system:masters")
    certificates.ensure(tmp_path, [server, admin])
    for name in ("apiserver", "admin"):
        verify = ["openssl", "verify", "-CAfile", str(tmp_path / "ca.crt"), str(tmp_path / f"{name}.crt")]
        assert subprocess.run(verify, capture_output=True, check=False).returncode == 0
    assert "DNS:kubernetes, IP Address:127.0.0.1" in text_of(tmp_path / "apiserver.crt")
    assert "CN=kubernetes-admin,O=system:masters" in text_of(tmp_path / "admin.crt")
    assert "TLS Web Server" not in text_of(tmp_path / "admin.crt")
    ssl.create_default_context().load_cert_chain(tmp_path / "admin.crt", tmp_path / "admin.key")


def test_a_second_time_changes_nothing_and_a_new_address_only_the_leaves(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, [Certificate("a", "a", addresses=("10.0.0.1",), server=True)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    certificates.ensure(tmp_path, [Certificate("a", "a", addresses=("10.0.0.1",), server=True)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    certificates.ensure(tmp_path, [Certificate("a", "a", addresses=("10.0.0.2",), server=True)])
    for kept in ("ca.crt", "ca.key", "sa.key", "sa.pub"):
        assert (tmp_path / kept).read_bytes() == before[kept]
    assert (tmp_path / "a.crt").read_bytes() != before["a.crt"]


def test_keys_are_the_owners_alone(tmp_path: Path) -> None:
    directory = tmp_path / "pki"
    certificates.ensure(directory, [Certificate("a", "a")])
    assert directory.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in directory.glob("*.key"))


def test_every_component_has_a_user_of_its_own() -> None:
    every = certificates.cluster_certificates("localkube-x", "10.140.128.1", "10.140.255.2")
    users = {item.name: (item.common_name, item.organization) for item in every}
    assert users["kubelet"] == ("system:node:localkube-x", "system:nodes")
    assert users["scheduler"] == ("system:kube-scheduler", "")
    assert len(set(users.values())) == len(every)
    # The front proxy may speak for anybody, so that no other certificate may bear its name.
    assert [item.name for item in every if item.common_name == certificates.FRONT_PROXY] == ["front-proxy"]
    api = next(item for item in every if item.name == "apiserver")
    assert set(api.addresses) == {"127.0.0.1", "10.140.128.1", "10.140.255.2"}


def test_a_missing_openssl_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalkubeError, match="openssl"):
        certificates.ensure(tmp_path, [])
