"""Log lines."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from hipbmm_operator.telemetry import logs


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_about_a_resource_carries_its_keys(lines: io.StringIO) -> None:
    token = logs.OBJECT.set({"object": {"namespace": "models", "name": 'forged"}\n{"level":"error'}, "reconcile": "1f"})
    logging.getLogger("x").info("before it was read")
    logs.identify("6c1e", 7)
    logging.getLogger("x").info("applied\n%s", "it")
    logs.OBJECT.reset(token)
    logging.getLogger("x").info("about nothing")
    first, second, third = (json.loads(line) for line in lines.getvalue().splitlines())
    about = {"namespace": "models", "name": 'forged"}\n{"level":"error'}
    assert (first["object"], first["reconcile"]) == (about, "1f")
    assert second["object"] == about | {"uid": "6c1e", "generation": 7}
    assert "object" not in third
