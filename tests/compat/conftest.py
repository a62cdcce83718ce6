"""Workers with real vLLM, one per version, kept for the whole run: each costs 8 s and 1 GiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from compat import environment
from compat.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def workers() -> Iterator[dict[str, Worker]]:
    """A worker for each version in the lock file."""
    made = {version: Worker(version) for version in environment.versions()}
    yield made
    for worker in made.values():
        worker.close()


@pytest.fixture(scope="session")
def newest(workers: dict[str, Worker]) -> Worker:
    return workers[environment.NEWEST]
