"""Running a command for people in this process, as scripts use it: one JSON value, and an exit status."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def run(command: Callable[..., int], *argv: object) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    code = command([str(argument) for argument in argv], stdout, stderr)
    return code, stdout.getvalue(), stderr.getvalue()


def answer(command: Callable[..., int], *argv: object) -> tuple[int, Any]:
    code, out, _ = run(command, *argv, "-o", "json")
    assert out.count("\n") == 1
    return code, json.loads(out)
