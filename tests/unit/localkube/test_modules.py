from pathlib import Path

import pytest

from localkube import modules
from localkube.errors import UsageError

BLOCK = """module x

go 1.26

require (
	k8s.io/kubernetes v1.37.2 // indirect
	go.etcd.io/etcd/server/v3 v3.7.0
)

tool (
	go.etcd.io/etcd/server/v3
	k8s.io/kubernetes/cmd/kube-apiserver
)
"""
SINGLE = "module x\n\nrequire helm.sh/helm/v4 v4.3.1 // indirect\n\ntool helm.sh/helm/v4/cmd/helm\n"


def write_module(root: Path, name: str, go_mod: str, go_sum: str = "sum\n") -> None:
    (root / name).mkdir(parents=True)
    (root / name / "go.mod").write_text(go_mod)
    (root / name / "go.sum").write_text(go_sum)


def test_tools_are_read_from_blocks_and_single_lines() -> None:
    assert modules.tool_packages(BLOCK) == ["go.etcd.io/etcd/server/v3", "k8s.io/kubernetes/cmd/kube-apiserver"]
    assert modules.tool_packages(SINGLE) == ["helm.sh/helm/v4/cmd/helm"]


def test_versions_are_read_from_blocks_and_single_lines() -> None:
    assert modules.required_version(BLOCK, "k8s.io/kubernetes") == "v1.37.2"
    assert modules.required_version(SINGLE, "helm.sh/helm/v4") == "v4.3.1"
    with pytest.raises(UsageError, match="does not require"):
        modules.required_version(SINGLE, "helm.sh/helm")


@pytest.mark.parametrize(
    ("package", "binary"),
    [("k8s.io/kubernetes/cmd/kubelet", "kubelet"), ("go.etcd.io/etcd/server/v3", "server"), ("a/v2/cmd/ctr", "ctr")],
)
def test_binaries_are_called_as_go_build_calls_them(package: str, binary: str) -> None:
    assert modules.binary_name(package) == binary


def test_the_cache_key_depends_on_both_files_and_where_one_ends() -> None:
    key = modules.cache_key(b"mod", b"sum")
    assert len(key) == 12
    assert len({key, modules.cache_key(b"mod2", b"sum"), modules.cache_key(b"mod", b"sum2")}) == 3
    assert modules.cache_key(b"mods", b"um") != key


def test_etcd_gets_its_own_name_and_kubernetes_its_stamp(tmp_path: Path) -> None:
    write_module(tmp_path, "kubernetes-1.37", BLOCK)
    module = modules.load("kubernetes-1.37", tmp_path)
    assert module.tools == ("etcd", "kube-apiserver")
    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in module.ldflags
    assert "-X k8s.io/client-go/pkg/version.gitMinor=37" in module.ldflags


def test_minors_are_ordered_as_numbers(tmp_path: Path) -> None:
    for minor in ("1.9", "1.10", "1.36"):
        write_module(tmp_path, f"kubernetes-{minor}", BLOCK)
    write_module(tmp_path, "helm", SINGLE)
    assert modules.kubernetes_minors(tmp_path) == ["1.36", "1.10", "1.9"]


def test_unknown_names_list_those_there_are(tmp_path: Path) -> None:
    write_module(tmp_path, "kubernetes-1.37", BLOCK)
    with pytest.raises(UsageError, match=r"1\.37"):
        modules.kubernetes_module("1.20", tmp_path)
    with pytest.raises(UsageError, match=r"kubernetes-1\.37"):
        modules.load("kind", tmp_path)
    with pytest.raises(UsageError, match="kube-apiserver"):
        modules.module_of_tool("kubeadm", tmp_path)


def test_every_module_of_the_repository_can_be_read() -> None:
    every = {module.name: module for module in map(modules.load, modules.names())}
    assert {"kubectl", "kubelet", "etcd", "kube-proxy"} <= set(every["kubernetes-1.37"].tools)
    assert every["kubernetes-1.36"].tools == every["kubernetes-1.37"].tools
    assert modules.module_of_tool("kubectl").name == f"kubernetes-{modules.kubernetes_minors()[0]}"
    for tool in ("helm", "kwok", "kubeconform", "kube-score", "ctr", "ray-operator"):
        assert tool in modules.module_of_tool(tool).tools
