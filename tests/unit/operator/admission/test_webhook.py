"""The route: every answer allows the pod, in a shape that the API server reads."""

import asyncio
import base64
import contextlib
import json
import ssl
import subprocess
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from aiohttp import ClientConnectorError, ClientSession
from aiohttp.test_utils import TestClient, TestServer
from tests import stacks
from tests.ports import free_port

from hipbmm_operator.admission import webhook as module
from hipbmm_operator.injection.registration import LABEL_PATH, MATCH_PATH

Json = dict[str, Any]


def profiles(namespace: str) -> Iterable[Json]:
    found = [stacks.profile(name="other"), stacks.profile(spec={"match": {"podLabels": {"app": "model"}}})]
    return found if namespace == "default" else []


async def ask(path: str, body: bytes, source: Any = profiles) -> Json:  # noqa: ANN401  # also one that fails
    async with TestClient(TestServer(module.application(source))) as client:
        answer = await client.post(path, data=body)
        assert answer.status == 200
        review: Json = await answer.json()
    assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response: Json = review["response"]
    assert response["allowed"] is True
    return response


def review(pod: Json, namespace: str = "default") -> bytes:
    return json.dumps({"request": {"uid": "u-1", "namespace": namespace, "object": pod}}).encode()


async def test_a_pod_that_names_a_profile_gets_its_patch() -> None:
    pod = stacks.asking("deployment")
    answer = await ask(LABEL_PATH, review(pod))
    assert (answer["uid"], answer["patchType"]) == ("u-1", "JSONPatch")
    done = jsonpatch.apply_patch(pod, json.loads(base64.b64decode(answer["patch"])))
    assert [each["name"] for each in done["spec"]["initContainers"]] == ["hipbmm-warm", "hipbmm-harvest"]


async def test_a_pod_that_a_profile_chooses_gets_its_patch() -> None:
    assert "patch" in await ask(MATCH_PATH, review(stacks.pod("kubeai")))
    assert "patch" not in await ask(LABEL_PATH, review(stacks.pod("kubeai")))


@pytest.mark.parametrize("suspended_first", [False, True])
async def test_a_suspended_profile_takes_no_pod_from_another(*, suspended_first: bool) -> None:
    """The policy looks at each profile on its own."""
    spec = {"match": {"podLabels": {"app": "model"}}}
    both = [stacks.profile(name="a", spec=spec), stacks.profile(name="b", spec=spec)]
    both[not suspended_first]["status"]["injection"]["ready"] = False
    assert "patch" in await ask(MATCH_PATH, review(stacks.pod("kubeai")), lambda _: both)


async def test_a_pod_of_another_namespace_stays_plain() -> None:
    assert await ask(LABEL_PATH, review(stacks.asking("deployment"), "else")) == {"uid": "u-1", "allowed": True}


def defect(namespace: str) -> Iterable[Json]:
    raise RuntimeError(namespace)


@pytest.mark.parametrize("body", [b"", b"[]", b"no json", b'{"request": 1}', review({}), review({"spec": {}})])
async def test_no_body_is_refused(body: bytes) -> None:
    assert "patch" not in await ask(LABEL_PATH, body)


async def test_a_defect_refuses_no_pod() -> None:
    assert await ask(LABEL_PATH, review(stacks.asking("deployment")), defect) == {"uid": "u-1", "allowed": True}


def _certificate(folder: Path) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    names = ["-subj", "/CN=test", "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run([*command, *names], check=True, capture_output=True)


async def _allowed(port: int) -> bool:
    url = f"https://127.0.0.1:{port}{LABEL_PATH}"
    async with ClientSession() as client, client.post(url, data=review(stacks.asking("aibrix")), ssl=False) as answer:
        return bool((await answer.json())["response"]["allowed"])


async def test_it_serves_from_when_the_certificate_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_SECONDS", 0.01)
    port = free_port()
    task = asyncio.create_task(module.serve(port, partial(module.from_folder, tmp_path), profiles))
    await asyncio.sleep(0.05)
    with pytest.raises(ClientConnectorError):
        await _allowed(port)
    _certificate(tmp_path)
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(ClientConnectorError):
                assert await _allowed(port)
                break
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    assert not await module.from_folder(tmp_path, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _certificate(tmp_path)
    assert await module.from_folder(tmp_path, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    (tmp_path / "tls.key").write_text("garbage")
    assert not await module.from_folder(tmp_path, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
