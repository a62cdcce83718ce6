"""The certificate of the webhook, where the operator makes it: kept in a Secret, trusted by the API servers.

The chart makes the Secret, empty, and the webhook's configuration, without a caBundle: so the operator needs no right
to create either, and a tool that applies the chart again finds nothing to change. The leader takes the steps of a
renewal, every replica serves what the Secret holds.
"""

import base64
import binascii
import logging
import ssl
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from hipbmm_operator.admission import certificate, webhook
from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import NamespacedName, as_object, as_objects, object_at

LOG = logging.getLogger(__name__)


class OwnCertificate:
    """`secret` has the name of the webhook's Service; `configuration` is the MutatingWebhookConfiguration's."""

    def __init__(self, kube: Kube, secret: NamespacedName, configuration: str, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._secret = secret
        self._configuration = configuration
        self._now = now
        self._loaded = ""

    async def __call__(self, context: ssl.SSLContext) -> bool:
        """Take a step of a renewal if one is due, and serve what the Secret holds; whether there is a certificate."""
        try:
            body = await self._kube.get(kinds.SECRET, self._secret.namespace, self._secret.name)
            held = {key: _text(str(value)) for key, value in as_object(body.get("data")).items()}
            if self._kube.may_write():
                held = await self._advance(body, held)
        except errors.ApiError as error:
            LOG.warning("The webhook's certificate cannot be read or renewed: %s", error)
            return bool(self._loaded)
        text = held.get("tls.crt", "")
        if text and text != self._loaded and await _load(context, text, held.get("tls.key", "")):
            self._loaded = text
        return bool(self._loaded)

    async def _advance(self, body: Json, held: dict[str, str]) -> dict[str, str]:
        configuration = await self._kube.get(kinds.MUTATING_WEBHOOK, "", self._configuration)
        hooks = as_objects(configuration.get("webhooks"))
        given = {str(object_at(each, "clientConfig").get("caBundle") or "") for each in hooks}
        trusted = _text(given.pop()) if len(given) == 1 else ""
        host = f"{self._secret.name}.{self._secret.namespace}.svc"
        wanted = certificate.step(held, trusted, host, self._now())
        if wanted != held:
            await self._kube.replace(kinds.SECRET, {**body, "data": {key: _base64(wanted[key]) for key in wanted}})
            LOG.info("The webhook's Secret holds %s", ", ".join(sorted(wanted)))
        if trusted != wanted["ca.crt"]:
            bundle = {"caBundle": _base64(wanted["ca.crt"])}
            trusting = [{"name": each["name"], "clientConfig": bundle} for each in hooks]
            made = kinds.MUTATING_WEBHOOK.body({"name": self._configuration}, webhooks=trusting)
            await self._kube.apply(kinds.MUTATING_WEBHOOK, made, force=True)
        return wanted


async def _load(context: ssl.SSLContext, text: str, key: str) -> bool:
    # The standard library reads certificates from files only. The folder is the operator's own.
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("tls.crt", text), ("tls.key", key)):
            (Path(folder) / name).write_text(content)
        return await webhook.from_folder(Path(folder), context)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _text(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
