"""Logs: one JSON object per line, with the resource and the reconcile that a line is about. Never a secret."""

import json
import logging
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TextIO

from hipbmm_operator.kube.metadata import NamespacedName


@dataclass(frozen=True, slots=True)
class About:
    """The resource that is being reconciled, and an id of this reconcile."""

    key: NamespacedName
    reconcile: str
    uid: str = ""
    generation: int = 0


OBJECT: ContextVar[About | None] = ContextVar("object", default=None)

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
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        about = OBJECT.get()
        if about is not None:
            entry["object"] = {"namespace": about.key.namespace, "name": about.key.name}
            if about.uid:
                entry["object"] |= {"uid": about.uid, "generation": about.generation}
            entry["reconcile"] = about.reconcile
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class TextFormatter(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with the resource in front."""
        about = OBJECT.get()
        where = f"{about.key.namespace}/{about.key.name}: " if about else ""
        text = f"{record.levelname:<7} {where}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def identify(uid: str, generation: int) -> None:
    """Say which object, and which generation of it, the lines of this reconcile are about."""
    about = OBJECT.get()
    if about is not None:
        OBJECT.set(replace(about, uid=uid, generation=generation))


def configure(level: str, form: str, stream: TextIO) -> None:
    """Send all logs to one stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)
