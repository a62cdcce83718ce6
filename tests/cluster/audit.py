"""What the API server's audit log says a user did."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

WRITES = ("create", "update", "patch", "delete", "deletecollection")


class Audit:
    """The log from now on."""

    def __init__(self, log: Path, user: str) -> None:
        self._log = log
        self._user = user
        self._from = log.stat().st_size

    def everything(self) -> Iterator[Json]:
        """Completed requests of all users since then."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            for line in log:
                if line.endswith(b"}\n"):
                    yield json.loads(line)

    def requests(self) -> list[Json]:
        """Completed requests of the user since then."""
        return [event for event in self.everything() if event["user"]["username"] == self._user]

    def writes(self) -> list[str]:
        """`verb resource/name` of each write but those of Leases."""
        return [
            f"{event['verb']} {event['objectRef']['resource']}/{event['objectRef'].get('name', '')}"
            for event in self.requests()
            if event["verb"] in WRITES and event["objectRef"]["resource"] != "leases"
        ]


def writes_during(audit_log: Path, user: str, seconds: float) -> list[str]:
    """Writes of a user in the next seconds. The time is the figure itself, not a wait for something to happen."""
    audit = Audit(audit_log, user)
    time.sleep(seconds)
    return audit.writes()
