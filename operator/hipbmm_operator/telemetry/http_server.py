"""The operator's own HTTP server: /metrics, /healthz and /readyz."""

import logging
from collections.abc import Callable

from aiohttp import web
from prometheus_client import generate_latest

from hipbmm_operator.telemetry.metrics import REGISTRY

LOG = logging.getLogger(__name__)

Check = Callable[[], str | None]
"""None when all is well, else what is wrong."""


class HttpServer:
    """Serves until `close`."""

    def __init__(self, health: Check, ready: Check, before_metrics: Callable[[], None]) -> None:
        self._health = health
        self._ready = ready
        self._before_metrics = before_metrics
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, port: int) -> None:
        """Listen on all addresses of the pod."""
        await self._runner.setup()
        await web.TCPSite(self._runner, port=port).start()
        LOG.info("Serves metrics and health on %s", self._runner.addresses)

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self._health())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._ready())

    async def _metrics(self, _: web.Request) -> web.Response:
        self._before_metrics()
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": "text/plain; version=0.0.4"})


def _answer(problem: str | None) -> web.Response:
    return web.Response(text="ok\n") if problem is None else web.Response(status=503, text=f"{problem}\n")
