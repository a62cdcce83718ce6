"""The route that answers AdmissionReviews."""

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from aiohttp import web

from hipbmm_operator.injection import patch, webhook
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import as_object, object_at
from hipbmm_operator.telemetry import metrics

LOG = logging.getLogger(__name__)

_FIRST_SECONDS, _CHECK_SECONDS = 2.0, 20.0
"""Between two checks of the certificate, until there is one and from then on."""

Profiles = Callable[[str], Iterable[Json]]
"""All profiles of a namespace, as the API server has them."""
Certificate = Callable[[ssl.SSLContext], Awaitable[bool]]
"""Loads the certificate that is there into the context; whether there is one."""


class WebhookServer:
    """Serves until `close`."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        application = web.Application(client_max_size=8 << 20)
        application.router.add_post(webhook.LABEL_PATH, partial(self._answer, patch.names))
        application.router.add_post(webhook.MATCH_PATH, partial(self._answer, patch.matches))
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, port: int, context: ssl.SSLContext) -> None:
        """Listen on all addresses of the pod. A context whose certificate is loaded anew serves the new one."""
        await self._runner.setup()
        await web.TCPSite(self._runner, port=port, ssl_context=context).start()
        LOG.info("Serves admission on %s", self._runner.addresses)

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    async def _answer(self, mine: Callable[[Json, Json], bool], request: web.Request) -> web.Response:
        uid, operations, result = "", [], "plain"
        try:
            asked = object_at(json.loads(await request.read()), "request")
            uid = str(asked.get("uid", ""))
            operations = self._operations(asked, mine)
            result = "injected" if operations else "plain"
        except Exception:
            # A refusal would keep a pod of somebody else from starting; failurePolicy does not cover it.
            LOG.exception("A pod stays plain because of a defect")
            result = "error"
        metrics.ADMISSIONS.labels(result).inc()
        return web.json_response(_review(uid, operations))

    def _operations(self, asked: Json, mine: Callable[[Json, Json], bool]) -> list[Json]:
        pod, namespace = as_object(asked.get("object")), str(asked.get("namespace", ""))
        # One that is suspended, or not ready, may choose the pod as well.
        patches = (patch.operations(pod, profile) for profile in self._profiles(namespace) if mine(pod, profile))
        return next(filter(None, patches), [])


async def serve(port: int, certificate: Certificate, profiles: Profiles) -> None:
    """Serve until cancelled, from when the certificate is there. One that is renewed is taken without a restart."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server, started = WebhookServer(profiles), False
    try:
        while True:
            if await certificate(context) and not started:
                await server.start(port, context)
                started = True
            await asyncio.sleep(_CHECK_SECONDS if started else _FIRST_SECONDS)
    finally:
        await server.close()


async def from_folder(certificates: Path, context: ssl.SSLContext) -> bool:
    """Take the certificate of a folder, where somebody renews it; whether it could be read.

    New connections get the new one.
    """
    try:
        context.load_cert_chain(certificates / "tls.crt", certificates / "tls.key")
    except OSError as error:  # ssl.SSLError is one
        LOG.warning("The webhook's certificate in %s cannot be read: %s", certificates, error)
        return False
    return True


def _review(uid: str, operations: list[Json]) -> Json:
    response: Json = {"uid": uid, "allowed": True}
    if operations:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
