"""What the API server's audit log says a user did."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_REST_SECONDS = 5.0
WRITES = ("create", "update", "patch", "delete", "deletecollection")


class Audit:
    """The log from now on."""

    def __init__(self, log: Path, user: str) -> None:
        self._log = log
        self._user = user
        begun = log.stat()
        self._file, self._from = begun.st_ino, begun.st_size

    def everything(self) -> Iterator[Json]:
        """Completed requests of all users since then."""
        # The API server gives a file that is full another name, with the time, and begins a new one.
        files = [*sorted(self._log.parent.glob(f"{self._log.stem}-*{self._log.suffix}")), self._log]
        first = next(number for number, file in enumerate(files) if file.stat().st_ino == self._file)
        for number, file in enumerate(files[first:]):
            with file.open("rb") as log:
                log.seek(0 if number else self._from)
                for line in log:
                    if line.endswith(b"}\n"):
                        yield json.loads(line)

    def requests(self) -> list[Json]:
        """Completed requests of the user since then."""
        return [event for event in self.everything() if event["user"]["username"] == self._user]

    def writes(self) -> list[str]:
        """`verb resource/name` of each write but those of Leases.

        A dry run writes nothing: each minute the operator asks so about the pods of a HipbmmProfile that `make demo`
        has left.
        """
        return [
            f"{event['verb']} {event['objectRef']['resource']}/{event['objectRef'].get('name', '')}"
            for event in self.requests()
            if event["verb"] in WRITES and event["objectRef"]["resource"] != "leases"
            if "dryRun=All" not in event["requestURI"]
        ]


def at_rest(audit_log: Path, user: str) -> bool:
    """Whether a user has written nothing for a while; a request is in the log some time after its answer."""
    return not writes_during(audit_log, user, _REST_SECONDS)


def writes_during(audit_log: Path, user: str, seconds: float) -> list[str]:
    """Writes of a user in the next seconds. The time is the figure itself, not a wait for something to happen."""
    audit = Audit(audit_log, user)
    time.sleep(seconds)
    return audit.writes()
