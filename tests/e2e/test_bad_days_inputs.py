"""Images, secrets and ConfigMaps, as a real kubelet and containerd tell of them."""

from collections.abc import Iterator

import pytest
from tests.e2e.badday import SMALL_CONFIG, Case, Wave, config_map, furnish, secret
from tests.e2e.rollout import workspace

from demo import wait
from demo.cluster import Cluster

pytestmark = pytest.mark.timeout(900)

PORT, CLOSED = 15055, 15056
REGISTRY = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    default_request_version = "HTTP/1.0"  # answers what is no HTTP by HTTP: then containerd does without TLS
    def do_GET(self):
        if self.path == "/v2/":
            self.send_response(200)
        elif "/private/" in self.path:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
        else:
            self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_HEAD = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", {PORT}), Handler).serve_forever()
"""
"""A registry on the node that knows no image and asks for a name at some: containerd speaks HTTP to the node itself."""

CASES = [
    Case("no-tag", "Progressing", "ImageNotFound", "not found", {"image": f"127.0.0.1:{PORT}/open/vllm:typo"}),
    Case("private", "Progressing", "ImagePullUnauthorized", "", {"image": f"127.0.0.1:{PORT}/private/vllm:1"}),
    Case(
        "no-pull-secret",
        "Progressing",
        "PullSecretNotFound",
        "regcred",
        {"image": f"127.0.0.1:{PORT}/private/vllm:1", "imagePullSecrets": [{"name": "regcred"}]},
    ),
    Case("no-registry", "Progressing", "ImagePullFailed", "refused", {"image": f"127.0.0.1:{CLOSED}/open/vllm:1"}),
    Case(
        "no-token",
        "Progressing",
        "SecretNotFound",
        '"hf-missing"',
        {"model": {"tokenSecretRef": {"name": "hf-missing"}}},
        mend=lambda kubectl: secret(kubectl, "hf-missing", {"HF_TOKEN": "hf_x"}),
        reapply=False,
    ),
    Case(
        "no-token-key",
        "Progressing",
        "SecretNotFound",
        "HF_TOKEN",
        {"model": {"tokenSecretRef": {"name": "hf-other"}}},
        arrange=lambda kubectl: secret(kubectl, "hf-other", {"OTHER": "x"}),
        mend=lambda kubectl: secret(kubectl, "hf-other", {"HF_TOKEN": "hf_x"}),
        reapply=False,
    ),
    Case(
        "no-config-map",
        "Progressing",
        "FailedMount",
        '"late-config"',
        {"model": {"configMapRef": {"name": "late-config"}}},
        mend=lambda kubectl: config_map(kubectl, "late-config", SMALL_CONFIG),
        reapply=False,
    ),
]


@pytest.fixture(scope="module")
def registry(cluster: Cluster) -> Iterator[None]:
    """The registry, as a pod in the node's own network."""
    if not cluster.simulated:
        pytest.skip("breaks things on purpose: only on our own cluster")
    kubectl = cluster.kubectl.within("hipbmm-simulator")
    container = {
        "name": "registry",
        "image": cluster.serving_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", REGISTRY],
        "readinessProbe": {"tcpSocket": {"port": PORT, "host": "127.0.0.1"}, "periodSeconds": 1},
    }
    spec = {"hostNetwork": True, "terminationGracePeriodSeconds": 1, "containers": [container]}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "registry"}, "spec": spec})

    def ready() -> bool | None:
        states = kubectl.get("pod", "registry")["status"].get("containerStatuses", [])
        return True if states and states[0]["ready"] else None

    wait.until("the registry", ready, 300)
    yield
    kubectl.run("delete", "pod", "registry", "--wait=false")


@pytest.fixture(scope="module")
def wave(cluster: Cluster, registry: None) -> Iterator[Wave]:
    with workspace(cluster, "e2e-inputs") as kubectl:
        furnish(kubectl)
        found = Wave(cluster, kubectl, CASES)
        found.start()
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shows(wave: Wave, case: Case) -> None:
    wave.shows(case)
    failures = wave.resource(case)["status"]["failures"]
    assert case.reason in {failure["reason"] for failure in failures}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_heals(wave: Wave, case: Case) -> None:
    wave.heals(case)


def test_each_trouble_is_one_event(wave: Wave) -> None:
    """An Event for each transition, though a pull fails every few seconds."""
    events = [e for e in wave.kubectl.items("events") if e["involvedObject"]["kind"] == "HipbmmDeployment"]
    for case in CASES:
        told = [event["reason"] for event in events if event["involvedObject"]["name"] == case.name]
        assert told.count(case.reason) == 1, told
