"""The HTTPS routes that answer AdmissionReviews."""

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from aiohttp import web

from hipbmm_operator.injection import patch, registration
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


def application(profiles: Profiles) -> web.Application:
    """The routes, one for each way in which a pod is for a profile."""
    found = web.Application(client_max_size=8 << 20)
    for path, chooses in ((registration.LABEL_PATH, patch.names), (registration.MATCH_PATH, patch.matches)):
        found.router.add_post(path, partial(_answer, profiles, chooses))
    return found


async def _answer(profiles: Profiles, chooses: Callable[[Json, Json], bool], request: web.Request) -> web.Response:
    uid, operations, result = "", [], "plain"
    try:
        asked = object_at(json.loads(await request.read()), "request")
        uid = str(asked.get("uid", ""))
        pod, namespace = as_object(asked.get("object")), str(asked.get("namespace", ""))
        # One that is suspended, or not ready, may choose the pod as well.
        patches = (patch.operations(pod, profile) for profile in profiles(namespace) if chooses(pod, profile))
        operations = next(filter(None, patches), [])
        result = "injected" if operations else "plain"
    except Exception:
        # A refusal would keep a pod of somebody else from starting; failurePolicy does not cover it.
        LOG.exception("A pod stays plain because of a defect")
        result = "error"
    metrics.ADMISSIONS.labels(result).inc()
    response: Json = {"uid": uid, "allowed": True}
    if operations:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
    return web.json_response(review)


async def serve(port: int, certificate: Certificate, profiles: Profiles) -> None:
    """Serve on all addresses of the pod until cancelled, from when the certificate is there.

    One that is renewed is loaded into the same context, which takes it without a restart.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    runner, started = web.AppRunner(application(profiles), access_log=None), False
    try:
        while True:
            if await certificate(context) and not started:
                await runner.setup()
                await web.TCPSite(runner, port=port, ssl_context=context).start()
                LOG.info("Serves admission on %s", runner.addresses)
                started = True
            await asyncio.sleep(_CHECK_SECONDS if started else _FIRST_SECONDS)
    finally:
        await runner.cleanup()


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
