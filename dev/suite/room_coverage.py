"""`python -m suite.room_coverage`: what the unit tests of the operator run of each room; 1 when that is too little.

Reads what `coverage run` has measured. Only the rooms with threads, sockets and clocks have a limit: what decides is
pure, and its tests fail by what it answers.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from suite.following import say

LEAST_PERCENT = 85.0
LIMITED = ("manager", "observe", "telemetry", "watch", "workqueue")
_PACKAGE = "operator/hipbmm_operator/"
_REPORT = Path("out/rooms.json")


def by_room(covered: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Statements that were run, and all of them, by room; from those by file of the package."""
    rooms: dict[str, tuple[int, int]] = {}
    for file, (run, all_of_it) in covered.items():
        room = file.split("/", maxsplit=1)[0].removesuffix(".py")
        before = rooms.get(room, (0, 0))
        rooms[room] = (before[0] + run, before[1] + all_of_it)
    return dict(sorted(rooms.items()))


def table(rooms: Mapping[str, tuple[int, int]]) -> tuple[str, list[str]]:
    """The figures as a table, and the limited rooms that are below the limit or not there at all."""
    figures = {room: 100.0 * run / statements for room, (run, statements) in rooms.items() if statements}
    low = [room for room in LIMITED if figures.get(room, 0.0) < LEAST_PERCENT]
    limit = f"  at least {LEAST_PERCENT:.0f} %"
    lines = [f"{room:<12} {figure:5.1f} %{limit if room in LIMITED else ''}" for room, figure in figures.items()]
    return "\n".join(lines), low


def main() -> int:
    """Print the table; 1 when a room is below the limit."""
    subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", str(_REPORT)], check=True)
    files = json.loads(_REPORT.read_text())["files"]
    covered = {
        name.removeprefix(_PACKAGE): (entry["summary"]["covered_lines"], entry["summary"]["num_statements"])
        for name, entry in files.items()
    }
    text, low = table(by_room(covered))
    say(text)
    if low:
        say(f"below {LEAST_PERCENT:.0f} %: {', '.join(low)}")
    return int(bool(low))


if __name__ == "__main__":
    sys.exit(main())
