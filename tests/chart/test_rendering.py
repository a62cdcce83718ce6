"""What the chart renders for given values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.chart.rendering import NAMESPACE, RenderError, render, variants
from tests.chart.tools import CHART, run, tool

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture(params=[None, *variants()], ids=lambda path: path.stem if path else "defaults")
def files(request: pytest.FixtureRequest) -> tuple[Path, ...]:
    return (request.param,) if request.param else ()


def test_lint_is_clean(files: tuple[Path, ...]) -> None:
    values = [part for file in files for part in ("--values", str(file))]
    done = run(tool("helm"), "lint", "--strict", "--quiet", str(CHART), *values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_each_object_has_its_own_identity(files: tuple[Path, ...]) -> None:
    identities = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in render(None, *files).objects
    ]
    assert len(identities) == len(set(identities))


def test_namespaced_objects_name_their_namespace_and_others_do_not(files: tuple[Path, ...]) -> None:
    for item in render(None, *files).objects:
        assert ("namespace" in item["metadata"]) == (item["kind"] not in CLUSTER_SCOPED), item["metadata"]["name"]


def test_each_object_carries_the_recommended_labels(files: tuple[Path, ...]) -> None:
    for item in render({"extraObjects": []}, *files).objects:
        labels = item["metadata"]["labels"]
        for label in ("name", "instance", "version", "managed-by", "part-of"):
            assert labels[f"app.kubernetes.io/{label}"], item["metadata"]["name"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_selector_matches_the_pod_and_has_nothing_that_an_upgrade_changes(files: tuple[Path, ...]) -> None:
    rendering = render(None, *files)
    selector = rendering.only("Deployment")["spec"]["selector"]["matchLabels"]
    assert selector.items() <= rendering.pod["metadata"]["labels"].items()
    assert set(selector) == {f"app.kubernetes.io/{label}" for label in ("name", "instance", "component")}


def test_no_variable_port_or_mount_is_given_twice(files: tuple[Path, ...]) -> None:
    container = render(None, *files).container
    for field, key in (("env", "name"), ("ports", "name"), ("volumeMounts", "mountPath")):
        names = [item[key] for item in container[field]]
        assert len(names) == len(set(names)), field


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "localhost/hipbmm/operator:0.1.0"),
        ({"image": {"tag": "0.2.0"}}, "localhost/hipbmm/operator:0.2.0"),
        ({"image": {"tag": "0.2.0", "digest": DIGEST}}, f"localhost/hipbmm/operator@{DIGEST}"),
        ({"image": {"registry": "r.example:5000/x"}}, "r.example:5000/x/hipbmm/operator:0.1.0"),
        ({"image": {"repository": "team/operator", "registry": "r.example"}}, "r.example/team/operator:0.1.0"),
        ({"image": {"repository": "r.example:5000/team/operator"}}, "r.example:5000/team/operator:0.1.0"),
        (
            {"image": {"repository": "old.example:5000/team/operator"}, "global": {"imageRegistry": "new.example"}},
            "new.example/team/operator:0.1.0",
        ),
        (
            {"image": {"registry": "r.example"}, "global": {"imageRegistry": "mirror.example"}},
            "mirror.example/hipbmm/operator:0.1.0",
        ),
    ],
)
def test_image_reference(values: dict[str, Any], expected: str) -> None:
    assert render(values).container["image"] == expected


def test_a_user_s_variable_replaces_the_chart_s() -> None:
    name = render().container["env"][0]["name"]
    container = render({"extraEnv": [{"name": name, "value": "mine"}, {"name": "OTHER", "value": "1"}]}).container
    assert [item for item in container["env"] if item["name"] == name] == [{"name": name, "value": "mine"}]
    assert {"name": "OTHER", "value": "1"} in container["env"]


@pytest.mark.parametrize("name", ["HIPBMM_HTTP_PORT", "HIPBMM_LEASE_NAME", "HIPBMM_NAMESPACES", "HIPBMM_WEBHOOK_PORT"])
def test_a_variable_that_the_rest_of_the_release_depends_on_is_refused(name: str) -> None:
    with pytest.raises(RenderError, match=f"extraEnv must not set {name}"):
        render({"extraEnv": [{"name": name, "value": "9090"}]})


@pytest.mark.parametrize("path", ["/tmp", "/tmp/"])  # noqa: S108  # the chart's own
def test_a_user_s_volume_or_mount_takes_the_place_of_the_chart_s(path: str) -> None:
    """The API refuses two volumes of one name, two mounts at one path, and Helm two keys of one name."""
    larger = {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}
    assert render({"extraVolumes": [larger]}).pod["spec"]["volumes"] == [larger]
    own = {"name": "scratch", "emptyDir": {"medium": "Memory"}}
    mount = {"name": "scratch", "mountPath": path}
    mounted = render({"extraVolumes": [own], "extraVolumeMounts": [mount]})
    assert mounted.container["volumeMounts"] == [mount]
    assert own in mounted.pod["spec"]["volumes"]
    certificates = {"name": "certificates", "csi": {"driver": "certificates.example"}}
    webhook = {"enabled": True, "webhook": {"enabled": True, "secretName": "tls", "caBundle": "YQ=="}}
    pod = render({"extraVolumes": [certificates], "injection": webhook}).pod
    assert [each for each in pod["spec"]["volumes"] if each["name"] == "certificates"] == [certificates]


def test_a_user_s_annotation_replaces_the_chart_s() -> None:
    key = "kubectl.kubernetes.io/default-container"
    assert render().pod["metadata"]["annotations"] == {key: "operator"}
    mine = {key: "proxy", "team": "inference"}
    assert render({"podAnnotations": mine}).pod["metadata"]["annotations"] == mine


def test_common_labels_reach_every_object_and_never_replace_the_chart_s() -> None:
    mine = {"team": "inference", "app.kubernetes.io/name": "other"}
    rendering = render({"commonLabels": mine})
    for item in rendering.objects:
        assert item["metadata"]["labels"]["team"] == "inference"
        assert item["metadata"]["labels"]["app.kubernetes.io/name"] == "hipbmm-operator"
    assert rendering.pod["metadata"]["labels"]["team"] == "inference"


def test_releases_of_the_same_name_in_two_namespaces_share_no_object() -> None:
    off = {"crds": {"enabled": False}}
    first, second = (
        {
            (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
            for item in render(off, namespace=namespace).objects
        }
        for namespace in ("one", "two")
    )
    assert not first & second


def test_namespace_override_moves_every_namespaced_object() -> None:
    rendering = render({"namespaceOverride": "elsewhere"})
    namespaces = {item["metadata"].get("namespace") for item in rendering.objects} - {None}
    assert namespaces == {"elsewhere"}
    for binding in [*rendering.of_kind("ClusterRoleBinding"), *rendering.of_kind("RoleBinding")]:
        assert [subject["namespace"] for subject in binding["subjects"]] == ["elsewhere"]


@pytest.mark.parametrize("length", [1, 40, 53])
def test_names_fit_whatever_the_release_is_called(length: int) -> None:
    for item in render(release="r" * length).objects:
        if item["kind"] != "CustomResourceDefinition":
            assert len(item["metadata"]["name"].split(".")[0]) <= 63
            assert not item["metadata"]["name"].endswith("-")


def test_pod_leaves_a_lost_node_after_thirty_seconds() -> None:
    tolerations = {item["key"]: item for item in render().pod["spec"]["tolerations"]}
    for condition in ("not-ready", "unreachable"):
        assert tolerations[f"node.kubernetes.io/{condition}"]["tolerationSeconds"] == 30


def test_one_replica_that_is_never_doubled() -> None:
    spec = render().only("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_passthrough_values_reach_the_pod() -> None:
    values: dict[str, Any] = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
        ],
        "priorityClassName": "high",
        "runtimeClassName": "gvisor",
        "schedulerName": "mine",
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.0.0.1"]},
        "imagePullSecrets": [{"name": "regcred"}],
        "terminationGracePeriodSeconds": 45,
    }
    spec = render(values).pod["spec"]
    for name, value in values.items():
        got = spec[name][-1:] if name == "tolerations" else spec[name]
        assert got == value, name
    assert render({"hostUsers": False}).pod["spec"]["hostUsers"] is False
    assert "hostUsers" not in render().pod["spec"]


def test_an_old_cluster_is_refused_by_name() -> None:
    with pytest.raises(RenderError, match=r"kubeVersion: >=1\.30\.0-0"):
        render(kube_version="1.29.9")
    assert render(kube_version="v1.30.4-eks-1234567").objects


def test_foreign_service_account_needs_a_name() -> None:
    with pytest.raises(RenderError, match=r"serviceAccount\.name"):
        render({"serviceAccount": {"create": False}})
    rendering = render({"serviceAccount": {"create": False, "name": "mine"}})
    assert not rendering.of_kind("ServiceAccount")
    assert rendering.pod["spec"]["serviceAccountName"] == "mine"


def test_extra_objects_are_templates() -> None:
    metadata = "{name: '{{ .Release.Name }}-x', namespace: '{{ .Release.Namespace }}'}"
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\n"
    (found,) = render({"extraObjects": [text]}).of_kind("ConfigMap")
    assert found["metadata"] == {"name": "hipbmm-operator-x", "namespace": NAMESPACE}
