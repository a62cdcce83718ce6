"""Two children at a time: one that watches, and one that is watched."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hipbmm_kernel.acceptance.supervision import Told


def while_watching(watch: Callable[[], Told], act: Callable[[], Told], stop: Path) -> tuple[Told, Told]:
    """Run `act` while `watch` runs; the file `stop` then tells the watcher to end. What each came to."""
    watched: list[Told] = []
    thread = threading.Thread(target=lambda: watched.append(watch()))
    thread.start()
    try:
        acted = act()
    finally:
        stop.touch()
        thread.join()
    return watched[0], acted
