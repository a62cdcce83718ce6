"""A shared machine may stop a process for seconds: no example of a property is late because of that."""

import pytest
from hypothesis import settings
from tests.ports import free_port

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


@pytest.fixture
def unused_tcp_port() -> int:
    """In place of pytest-asyncio's, whose ports the kernel may give to a connection before the server listens."""
    return free_port()
