"""Fixtures of the operator's own tests."""

import pytest
from tests.ports import free_port


@pytest.fixture
def unused_tcp_port() -> int:
    """In place of pytest-asyncio's, whose ports the kernel may give to a connection before the server listens."""
    return free_port()
