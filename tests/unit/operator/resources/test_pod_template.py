"""The pod template: no identity that a platform would refuse, and probes that speak the server's protocol."""

from typing import Any

import pytest
from tests.unit.operator.make import Json, planned, resource

from hipbmm_operator.kube import kinds


def template(spec: Json | None = None) -> Json:
    return dict(planned(resource(spec)).revision.template)


def keys(value: Any) -> set[str]:  # noqa: ANN401  # any JSON
    """All keys of objects, at whatever depth."""
    if isinstance(value, dict):
        return set(value).union(*(keys(entry) for entry in value.values()))
    return set().union(*(keys(entry) for entry in value)) if isinstance(value, list) else set()


def test_no_user_and_no_group_but_those_that_the_user_names() -> None:
    """OpenShift's restricted-v2 gives each namespace a range, and refuses a pod that names another user."""
    identities = {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"}
    assert not identities & keys(template())
    named = {"runAsUser": 1000, "fsGroup": 2000}
    pod = template({"podTemplate": {"spec": {"securityContext": named}}})["spec"]
    assert {key: pod["securityContext"][key] for key in named} == named
    assert not identities & keys([pod["initContainers"], pod["containers"]])


def test_every_container_gives_up_what_restricted_namespaces_refuse() -> None:
    pod = template()["spec"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod["initContainers"], *pod["containers"]]:
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})


def schemes(spec: Json) -> set[str]:
    (server,) = template(spec)["spec"]["containers"]
    probes = [server[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    return {probe.get("scheme", "HTTP") for probe in probes}


def protocols(spec: Json) -> dict[str, str | None]:
    """What the Service says of each port."""
    (found,) = [step.body for step in planned(resource(spec)).steps if step.kind == kinds.SERVICE]
    return {port["name"]: port.get("appProtocol") for port in found["spec"]["ports"]}


@pytest.mark.parametrize(
    "args",
    [
        ["--ssl-certfile", "/etc/tls/tls.crt", "--ssl-keyfile", "/etc/tls/tls.key"],
        ["--ssl-keyfile=/etc/tls/tls.key"],
        ["--ssl_certfile", "/etc/tls/tls.crt"],
        ["--ssl-certf", "/etc/tls/tls.crt"],
    ],
)
def test_a_server_with_a_certificate_is_asked_by_https(args: list[str]) -> None:
    spec = {"server": {"args": args}, "service": {"monitor": {"enabled": True}}}
    assert schemes(spec) == {"HTTPS"}
    (monitor,) = [step.body for step in planned(resource(spec)).steps if step.kind == kinds.SERVICE_MONITOR]
    server, sidecar = monitor["spec"]["endpoints"]
    assert (server["scheme"], server["tlsConfig"]) == ("https", {"insecureSkipVerify": True})
    assert "scheme" not in sidecar
    assert protocols(spec) == {"http": "https", "hipbmm": None}, "a mesh takes a port called http for plain HTTP"
    assert schemes({}) == {"HTTP"}
    assert protocols({}) == {"http": None}
