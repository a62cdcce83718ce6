"""What the serving processes write beside their table: calls by rank and result, and the problems without a row."""

import os
import re
from collections.abc import Iterator

from hipbmm_kernel.contract.settings import FILE, MEMORY
from hipbmm_kernel.dispatch import demand_lines, process_reports, recorder
from hipbmm_kernel.dispatch.demand_lines import Demand
from hipbmm_kernel.dispatch.process_reports import ProcessReports
from hipbmm_kernel.harvest.metrics import COUNTER, GAUGE, Metric, labelled
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.volume import Volume

MAX_FILES = 1024
"""One for each process that has served in this pod; a crash loop ends long before."""
MAX_DEMAND_BYTES = 1 << 20
_NAME = re.compile(r"(calls|demand)-([0-9]{1,4})-[0-9]{1,10}\.(?:bin|csv)")


class DispatchFiles:
    """Reads the directory of the table. What is missing or no such file counts nothing."""

    def __init__(self, volume: Volume, table: str) -> None:
        self._volume = volume
        self._directory = os.path.dirname(table)

    def metrics(self) -> list[Metric]:
        """Calls of all processes of a rank, and processes by mode; no family where there are none, as in mode File."""
        calls: dict[tuple[str, str], int] = {}
        for rank, data in self._files("calls", recorder.COUNTERS.size + 1):
            for result, count in (recorder.read_calls(data) or {}).items():
                calls[rank, result] = calls.get((rank, result), 0) + count
        samples = tuple(({"rank": rank, "result": result}, float(count)) for (rank, result), count in calls.items())
        text = "Calls of hipb_mm by what ran: a verified index, one of a padded size, hipBLASLt's own choice."
        found = [Metric("hipbmm_dispatch_calls_total", COUNTER, text, samples)] if samples else []
        said = self.reports()
        if said is not None:
            modes = {MEMORY: said.memory, FILE: len(said.reasons)}
            text = "Processes of the server by what they serve from: the table in memory, or AITER's file."
            found.append(labelled("hipbmm_dispatch_processes", GAUGE, text, "mode", modes))
        return found

    def reports(self) -> ProcessReports | None:
        """What the processes of this start report; None where none was asked to serve from memory."""
        return process_reports.read(self._volume, self._directory)

    def demand(self) -> list[Demand]:
        """What all processes asked for without a row, most called first."""
        texts = (data.decode("ascii", "replace") for _, data in self._files("demand", MAX_DEMAND_BYTES))
        return demand_lines.merged(map(demand_lines.read_demand, texts))

    def _files(self, kind: str, limit: int) -> Iterator[tuple[str, bytes]]:
        try:
            names = sorted(os.listdir(self._directory))[: 2 * MAX_FILES]
        except OSError:
            return
        for name in names:
            found = _NAME.fullmatch(name)
            if found is None or found[1] != kind:
                continue
            try:
                yield str(int(found[2])), volumes.read_file(self._volume, f"{self._directory}/{name}", limit)
            except OSError:
                continue
