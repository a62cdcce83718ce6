"""The webhook with the certificate that the operator makes: the API server trusts it, also while it is renewed."""

import asyncio
import base64
import json
import threading
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import stacks
from tests.cluster import injection
from tests.cluster.api import Api, until
from tests.cluster.conftest import Cluster
from tests.cluster.operator_process import (
    CLUSTER_BINDING,
    CLUSTER_ROLE,
    NAMESPACE,
    ROLE,
    ROLE_BINDING,
    RULES,
    bound,
    identity,
)
from tests.ports import free_port

from hipbmm_operator.admission import webhook as route
from hipbmm_operator.apply.webhook_certificate import OwnCertificate
from hipbmm_operator.injection import registration
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.kinds import SECRET, SERVICE
from hipbmm_operator.kube.metadata import NamespacedName

Json = dict[str, Any]
NAME = "hipbmm-operator-webhook"
_SECONDS = 120


class Replicas:
    """Operators' webhooks, one after the other on one port, on an event loop beside the test."""

    def __init__(self, api: Api, credentials: Path, system: str, place: str) -> None:
        self.api, self.system, self.place = api, system, place
        self.configuration = f"zz-{system}"
        self.moment = datetime.now(UTC)
        self._credentials = credentials
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.port = free_port()

    def wait(self, what: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # whatever it gives
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_SECONDS)

    @contextmanager
    def one(self, *, leads: bool = True) -> Iterator[None]:
        """One replica that serves."""
        kube = self.wait(Kube.connect(str(self._credentials), 10, proxied=False))
        kube.may_write = lambda: leads
        secret = NamespacedName(self.system, NAME)
        own = OwnCertificate(kube, secret, self.configuration, lambda: self.moment)
        profiles = [stacks.profile(self.place)]
        serving = asyncio.run_coroutine_threadsafe(route.serve(self.port, own, lambda _: profiles), self._loop)
        try:
            yield
        finally:
            serving.cancel()
            until("the end", serving.done)
            self.wait(asyncio.sleep(0.2))
            self.wait(kube.close())

    def injects(self) -> bool:
        return "hipbmm-warm" in json.dumps(injection.dry(self.api, stacks.asking("deployment", self.place)))

    def held(self) -> dict[str, str]:
        data = self.api.get(SECRET, self.system, NAME).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _rules(part: str, name: str) -> list[Json]:
    rules = yaml.safe_load(RULES.read_text())[part]
    return [rule | {"resourceNames": [name]} if "resourceNames" in rule else rule for rule in rules]


def _allow(api: Api, system: str, configuration: str) -> None:
    """What rbac.yaml names for this, and no more."""
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": system}
    cluster = _rules("injection_cluster", "") + _rules("webhook_cluster", configuration)
    for kind, where, body in (
        (ROLE, system, {"rules": _rules("webhook", NAME)}),
        (ROLE_BINDING, system, bound("Role", "webhook", subject)),
        (CLUSTER_ROLE, "", {"rules": cluster}),
        (CLUSTER_BINDING, "", bound("ClusterRole", f"{system}-webhook", subject)),
    ):
        metadata = {"name": "webhook", "namespace": where} if where else {"name": f"{system}-webhook"}
        api.apply(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **body})


def _install(api: Api, replicas: Replicas, mark: str) -> None:
    """What the chart installs, but that the Service leads to this machine."""
    metadata = {"name": NAME, "namespace": replicas.system}
    api.create(SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"})
    here = {"type": "ExternalName", "externalName": "localhost"}
    api.create(SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": here})
    service = {**metadata, "port": replicas.port}
    body = registration.webhook(replicas.configuration, service)
    for each in body["webhooks"]:
        del each["clientConfig"]["caBundle"]
        each["namespaceSelector"] = {"matchLabels": {injection.BY: mark}}
        each["timeoutSeconds"] = 30  # a busy machine is no broken certificate, which fails at once
    api.create(injection.WEBHOOK, body)


@pytest.fixture
def replicas(api: Api, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicas]:
    monkeypatch.setattr(route, "_FIRST_SECONDS", 0.2)
    # The product's are twenty: in between the API server has to learn which certificates it may trust from now on.
    monkeypatch.setattr(route, "_CHECK_SECONDS", 8.0)
    mark = uuid.uuid4().hex[:8]
    system = f"certificate-{mark}"
    api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": system}})
    place = injection.namespace(api, f"certified-{mark}", mark)
    credentials = identity(api, cluster.kubeconfig, system, tmp_path, [place])
    found = Replicas(api, credentials, system, place)
    _allow(api, system, found.configuration)
    _install(api, found, mark)
    yield found
    api.delete(injection.WEBHOOK, "", found.configuration)
    for kind in (CLUSTER_BINDING, CLUSTER_ROLE):
        api.delete(kind, "", f"{system}-webhook")
    for each in (system, place):
        api.delete(NAMESPACE, "", each)


def test_pods_are_injected_before_while_and_after_it_is_renewed(api: Api, replicas: Replicas) -> None:
    # Made 300 days ago, so that it is due for renewal today, and valid.
    replicas.moment -= timedelta(days=300)
    with replicas.one():
        until("the first injected pod", replicas.injects)
        first = replicas.held()
        version = api.get(SECRET, replicas.system, NAME)["metadata"]["resourceVersion"]
        replicas.moment = datetime.now(UTC)
        while replicas.held().get("tls.crt") == first["tls.crt"]:
            assert replicas.injects()
        assert replicas.injects()
    renewed = replicas.held()
    both = ["ca.crt", "next.crt", "next.key", "tls.crt", "tls.key"]
    secrets = SECRET.path(replicas.system)
    until("the step in between", lambda: both in [sorted(body["data"]) for body in api.watch(secrets, version)])
    # New connections, by a replica that does not lead: it makes none of its own.
    with replicas.one(leads=False):
        until("the other replica", replicas.injects)
    assert replicas.held() == renewed
    # The chart applied again owns no field of it.
    (managers,) = {
        each["manager"]
        for each in api.get(injection.WEBHOOK, "", replicas.configuration)["metadata"]["managedFields"]
        if "f:caBundle" in json.dumps(each["fieldsV1"])
    }
    assert managers == "hipbmm-operator"
    body = api.get(SECRET, replicas.system, NAME)
    api.request("PUT", SECRET.path(replicas.system, NAME), {**body, "data": {"tls.crt": "AAAA"}})
    with replicas.one():
        until("an injected pod after the Secret was damaged", replicas.injects)
