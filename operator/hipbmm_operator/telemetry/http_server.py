"""The operator's own HTTP server: /metrics, /healthz and /readyz."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from prometheus_client import generate_latest

LOG = logging.getLogger(__name__)

Check = Callable[[], str | None]
"""None when all is well, else what is wrong."""


@asynccontextmanager
async def serving(port: int, health: Check, ready: Check) -> AsyncIterator[None]:
    """Serve on all addresses of the pod."""
    application = web.Application()
    application.router.add_get("/healthz", partial(_probe, health))
    application.router.add_get("/readyz", partial(_probe, ready))
    application.router.add_get("/metrics", _metrics)
    runner = web.AppRunner(application, access_log=None)
    try:
        await runner.setup()
        await web.TCPSite(runner, port=port).start()
        LOG.info("Serves metrics and health on %s", runner.addresses)
        yield
    finally:
        await runner.cleanup()


async def _probe(check: Check, _: web.Request) -> web.Response:
    problem = check()
    return web.Response(text="ok\n") if problem is None else web.Response(status=503, text=f"{problem}\n")


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": "text/plain; version=0.0.4"})
