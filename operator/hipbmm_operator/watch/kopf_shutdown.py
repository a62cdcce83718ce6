"""kopf, run until it has really ended.

When a watch fails, kopf cancels all tasks once and waits for them without limit. A watch that was asking the API server
just then takes that for a pause of the operator and asks again: kopf never ends, and no event comes any more.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import kopf

LOG = logging.getLogger(__name__)

Tasks = set["asyncio.Task[Any]"]

_END_SECONDS = 8.0
"""kopf itself waits 5 s for what its tasks have begun."""
_AGAIN_SECONDS = 0.5
_PAUSE_WAITER = "pause-waiter"
"""A watch that is cancelled together with the task that waits for a pause believes in the pause."""


async def run(spawn: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Spawn kopf's tasks and run them until one ends, then until all have ended. Raises what kopf met."""
    others: Tasks = asyncio.all_tasks()
    roots = await spawn()
    kopfs = asyncio.create_task(kopf.run_tasks(roots, ignored=others))
    others |= {kopfs}
    try:
        await asyncio.wait(roots, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({kopfs}, timeout=_END_SECONDS)
        while not kopfs.done():
            _cancel(asyncio.all_tasks() - others)
            await asyncio.wait({kopfs}, timeout=_AGAIN_SECONDS)
    finally:
        kopfs.cancel()
    await kopfs


def _cancel(tasks: Tasks) -> None:
    watching = {task for task in tasks if not task.get_name().startswith(_PAUSE_WAITER)}
    LOG.debug("kopf does not end; %d tasks are cancelled again", len(watching))
    for task in watching or tasks:
        task.cancel()
