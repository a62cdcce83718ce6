"""The operator's own HTTP server: /metrics, /healthz and /readyz."""

import logging
from collections.abc import Callable
from functools import partial

from aiohttp import web
from prometheus_client import generate_latest

LOG = logging.getLogger(__name__)

Check = Callable[[], str | None]
"""None when all is well, else what is wrong."""


class HttpServer:
    """Serves until `close`."""

    def __init__(self, health: Check, ready: Check, before_metrics: Callable[[], None]) -> None:
        application = web.Application()
        application.router.add_get("/healthz", partial(_probe, health))
        application.router.add_get("/readyz", partial(_probe, ready))
        application.router.add_get("/metrics", partial(_metrics, before_metrics))
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, port: int) -> None:
        """Listen on all addresses of the pod."""
        await self._runner.setup()
        await web.TCPSite(self._runner, port=port).start()
        LOG.info("Serves metrics and health on %s", self._runner.addresses)

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()


async def _probe(check: Check, _: web.Request) -> web.Response:
    problem = check()
    return web.Response(text="ok\n") if problem is None else web.Response(status=503, text=f"{problem}\n")


async def _metrics(before: Callable[[], None], _: web.Request) -> web.Response:
    before()
    return web.Response(body=generate_latest(), headers={"Content-Type": "text/plain; version=0.0.4"})
