"""Logs: one JSON object per line, with the resource and the reconcile that a line is about. Never a secret."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from hipbmm_operator.kube.json_text import Json

OBJECT: ContextVar[Json | None] = ContextVar("object", default=None)
"""What all lines of a reconcile have: its id, and the resource that it is about."""

_QUIET = {
    # Errors of kopf's watches reach the operator as exceptions, and are logged once, in one line.
    "kopf": logging.CRITICAL,
    "aiohttp.access": logging.ERROR,
    "asyncio": logging.WARNING,
}


class JsonFormatter(logging.Formatter):
    """One JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; control characters in names cannot forge a line."""
        entry: Json = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **(OBJECT.get() or {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class TextFormatter(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with the resource in front."""
        about = OBJECT.get()
        where = "{namespace}/{name}: ".format_map(about["object"]) if about else ""
        text = f"{record.levelname:<7} {where}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def identify(uid: str, generation: int) -> None:
    """Say which object, and which generation of it, the lines of this reconcile are about."""
    if (about := OBJECT.get()) is not None:
        about["object"] |= {"uid": uid, "generation": generation}


def configure(level: str, form: str, stream: TextIO) -> None:
    """Send all logs to one stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)
