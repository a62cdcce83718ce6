"""Workers with real vLLM, one per version, started when a test asks and kept for the whole run: 8 s and 1 GiB each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from compat import environment
from compat.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


class Workers(dict[str, Worker]):
    """Workers by version."""

    def __missing__(self, version: str) -> Worker:
        made = self[version] = Worker(version)
        return made


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """A worker for each version in the lock file."""
    made = Workers()
    yield made
    for worker in made.values():
        worker.close()


@pytest.fixture(scope="session")
def newest(workers: Workers) -> Worker:
    return workers[environment.NEWEST]
