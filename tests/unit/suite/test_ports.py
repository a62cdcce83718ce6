"""Stages run side by side, and each starts servers."""

import pytest
from tests import ports


def test_no_port_is_given_to_two_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ports.free_port()
    monkeypatch.setattr(ports, "_PORTS", range(given, given + 1))
    with pytest.raises(AssertionError, match="no port is free"):
        ports.free_port()
