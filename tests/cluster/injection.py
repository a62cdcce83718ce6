"""Both kinds of admission on the API server under test, each for its own namespaces."""

import asyncio
import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.operator_process import (
    CLUSTER_BINDING,
    CLUSTER_ROLE,
    NAMESPACE,
    ROLE,
    ROLE_BINDING,
    ROOT,
    RULES,
    bound,
    identity,
)
from tests.ports import free_port

from hipbmm_operator.admission.webhook import application
from hipbmm_operator.injection import registration
from hipbmm_operator.kube.kinds import HIPBMM_PROFILE, POD, Kind

Json = dict[str, Any]
_GROUP = "admissionregistration.k8s.io"
POLICY = Kind(_GROUP, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", namespaced=False)
BINDING = Kind(_GROUP, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", namespaced=False)
VALIDATING = Kind(_GROUP, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False)
VALIDATING_BINDING = Kind(
    _GROUP, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
WEBHOOK = Kind(_GROUP, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False)
BY = "test.hipbmm.io/injected-by"
"""On a namespace of these tests: `policy` or `webhook`."""
PATIENT = 30
"""Seconds that the API server waits for a webhook which this process serves, as long as it may: the product's own two
are more than a busy machine always keeps, and a pod that is made without an answer is plain."""
_SECONDS = 120


def namespace(api: Api, name: str, by: str, **labels: str) -> str:
    """A namespace whose pods this kind of admission looks at."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {BY: by, **labels}}}
    api.create(NAMESPACE, body)
    account = Kind("", "v1", "serviceaccounts", "ServiceAccount")
    until("the service account", lambda: api.find(account, name, "default"))
    return name


def put_profile(api: Api, body: Json) -> None:
    """A profile with its status, as the operator would have written it."""
    api.apply(HIPBMM_PROFILE, {key: value for key, value in body.items() if key != "status"})
    meta = body["metadata"]
    status = {"status": None}
    api.merge(HIPBMM_PROFILE, meta["namespace"], meta["name"], status, "status")
    api.merge(HIPBMM_PROFILE, meta["namespace"], meta["name"], {"status": body["status"]}, "status")


@contextmanager
def policies(api: Api, name: str = "hipbmm-test", by: tuple[str, ...] = ("policy",), mark: str = "") -> Iterator[None]:
    """The product's own policies, bound to the namespaces of these tests. `mark`: a word in the shell text of warm."""
    made: list[tuple[Kind, str]] = []
    for body in registration.policies(name):
        kind = POLICY if body["kind"] == POLICY.kind else BINDING
        if kind is BINDING:
            body["spec"]["matchResources"] = {"namespaceSelector": _places(by)}
        elif mark:
            patch = body["spec"]["mutations"][0]["jsonPatch"]
            patch["expression"] = patch["expression"].replace("this image has no python3", mark)
        api.apply(kind, body)
        made.append((kind, body["metadata"]["name"]))
    try:
        yield
    finally:
        for kind, each in reversed(made):
            api.delete(kind, "", each)


def _places(by: tuple[str, ...]) -> Json:
    return {"matchExpressions": [{"key": BY, "operator": "In", "values": list(by)}]}


def webhook(name: str, port: int, certificate: Path) -> Json:
    """The product's configuration, which leads to this machine."""
    body = registration.webhook(name, {})
    bundle = base64.b64encode(certificate.read_bytes()).decode()
    for each in body["webhooks"]:
        path = each["clientConfig"]["service"]["path"]
        each["clientConfig"] = {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle}
    return body


@contextmanager
def webhooks(api: Api, scratch: Path, profiles: list[Json], by: tuple[str, ...] = ("webhook",)) -> Iterator[None]:
    """The product's route on this machine, and its configuration, for the namespaces of these tests."""
    certificate, key = certify(scratch)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(profiles, context) as port:
        body = webhook("zz-hipbmm-test", port, certificate)
        for each in body["webhooks"]:
            each["timeoutSeconds"] = PATIENT
            each.setdefault("namespaceSelector", {}).update(_places(by))
        api.apply(WEBHOOK, body)
        try:
            yield
        finally:
            api.delete(WEBHOOK, "", "zz-hipbmm-test")


@contextmanager
def another_webhook(api: Api, scratch: Path, name: str, changes: Callable[[Json], list[Json]]) -> Iterator[None]:
    """A webhook of somebody else, which makes these changes of pods with the label `another`."""
    certificate, key = certify(scratch)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            patch = base64.b64encode(json.dumps(changes(asked["object"])).encode()).decode()
            answer = {"uid": asked["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
            review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(review).encode())

        def log_message(self, *_: object) -> None:
            return

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    body = webhook(name, server.server_address[1], certificate)
    body["webhooks"] = body["webhooks"][:1]
    body["webhooks"][0]["objectSelector"] = {"matchLabels": {"another": "webhook"}}
    body["webhooks"][0]["failurePolicy"] = "Fail"
    body["webhooks"][0]["timeoutSeconds"] = PATIENT
    api.apply(WEBHOOK, body)
    try:
        yield
    finally:
        api.delete(WEBHOOK, "", name)
        server.shutdown()
        server.server_close()


def like_kserve(pod: Json) -> list[Json]:
    """What KServe's webhook does: it appends `storage-initializer` and mounts the model in the server."""
    inits = pod["spec"].get("initContainers") or []
    if any(each["name"] == "storage-initializer" for each in inits):
        return []
    mount = {"name": "kserve-provision-location", "mountPath": "/mnt/models"}
    at = next(i for i, each in enumerate(pod["spec"]["containers"]) if each["name"] == "kserve-container")
    mounts = pod["spec"]["containers"][at].get("volumeMounts") or []
    init = {"name": "storage-initializer", "image": "registry.example/storage:1", "volumeMounts": [mount]}
    volumes = pod["spec"].get("volumes") or []
    return [
        {"op": "add", "path": "/spec/initContainers", "value": [*inits, init]},
        {"op": "add", "path": "/spec/volumes", "value": [*volumes, {"name": mount["name"], "emptyDir": {}}]},
        {"op": "add", "path": f"/spec/containers/{at}/volumeMounts", "value": [*mounts, {**mount, "readOnly": True}]},
    ]


MIRRORED = "mirror.example/vllm:1"


def with_mirrored_image(pod: Json, *parts: str) -> list[Json]:
    """What a webhook does that has images pulled from elsewhere, in these parts of the spec."""
    places = [f"/spec/{part}/{i}/image" for part in parts for i in range(len(pod["spec"].get(part, [])))]
    return [{"op": "replace", "path": path, "value": MIRRORED} for path in places]


@contextmanager
def serving(profiles: list[Json], context: ssl.SSLContext) -> Iterator[int]:
    """The route with these profiles; its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    routes = application(lambda where: [p for p in profiles if p["metadata"]["namespace"] == where])
    port, runner = free_port(), web.AppRunner(routes, access_log=None)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, port=port, ssl_context=context).start()

    asyncio.run_coroutine_threadsafe(start(), loop).result(_SECONDS)
    try:
        yield port
    finally:
        # The loop runs on: the API server's side of a TLS connection ends when it likes, and is then closed.
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(_SECONDS)


def certify(scratch: Path, days: int = 1) -> tuple[Path, Path]:
    """A certificate for this machine that signs itself, and its key."""
    certificate, key = scratch / "tls.crt", scratch / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=hipbmm-test", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate), "-days", str(days)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return certificate, key


def dry(api: Api, body: Json) -> Json:
    """The pod that the API server would make of it."""
    return api.request("POST", POD.path(body["metadata"]["namespace"]), body, {"dryRun": "All"})


def restricted(api: Api, namespace: str) -> bool:
    """Whether the API server enforces the restricted standard there: it learns of a label some time after it is set."""
    container = {"name": "c", "image": "x", "securityContext": {"privileged": True}}
    metadata = {"name": "probe", "namespace": namespace}
    try:
        dry(api, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    except ApiStatusError as error:
        return "PodSecurity" in error.message
    return False


def comparable(body: Json) -> Json:
    """A pod's spec without what differs from one creation to the next: the name of the token's volume."""
    text: Json = body["spec"]
    token = next((v["name"] for v in text.get("volumes", []) if v["name"].startswith("kube-api-access-")), None)
    return _renamed(text, token) if token else text


def _renamed(value: Any, token: str) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(value, dict):
        return {key: _renamed(each, token) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, token) for each in value]
    return "kube-api-access" if value == token else value


def operator_identity(api: Api, admin: Path, system: str, served: str, scratch: Path) -> Path:
    """A kubeconfig of an operator that serves profiles in one namespace, with the rules of rbac.yaml and no more."""
    found = identity(api, admin, system, scratch, [served])
    rules = yaml.safe_load(RULES.read_text())
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": system}
    role = {"rules": rules["injection"] + rules["preflight"]}
    cluster = {"rules": rules["injection_cluster"] + rules["cluster"]}
    for kind, where, name, body in (
        (ROLE, served, "injection", role),
        (ROLE_BINDING, served, "injection", bound("Role", "injection", subject)),
        (CLUSTER_ROLE, "", system, cluster),
        (CLUSTER_BINDING, "", system, bound("ClusterRole", system, subject)),
    ):
        metadata = {"name": name, **({"namespace": where} if where else {})}
        api.apply(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **body})
    return found


def kernel_zip(scratch: Path) -> Path:
    """The kernel program as the operator's image brings it."""
    path = scratch / "hipbmm_kernel.zip"
    command = [sys.executable, "-m", "hipbmm_kernel", "payload", "--zip", str(path)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT / "kernel")})
    return path


@contextmanager
def forbidding(api: Api, where: str, expression: str, words: str, probe: Json, **more: Json) -> Iterator[None]:
    """A policy of the cluster, such as Gatekeeper's, in a namespace; `probe` is a pod that it refuses."""
    metadata = {"name": f"forbids-{uuid.uuid4().hex[:6]}"}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    spec: Json = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule], **more},
        "validations": [{"expression": expression, "message": words}],
    }
    there = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": where}}}
    to = {"policyName": metadata["name"], "validationActions": ["Deny"], "matchResources": there}
    for kind, its in ((VALIDATING, spec), (VALIDATING_BINDING, to)):
        api.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": its})
    until("the policy", lambda: words in _refusal(api, probe))
    yield
    for kind in (VALIDATING_BINDING, VALIDATING):
        api.delete(kind, "", metadata["name"])
    until("no policy", lambda: not _refusal(api, probe))


def _refusal(api: Api, pod: Json) -> str:
    try:
        dry(api, pod)
    except ApiStatusError as error:
        return error.message
    return ""
