"""`harvest`: the sidecar's loop, its metrics and its answers to probes."""

from collections.abc import Mapping
from typing import TextIO

from hipbmm_kernel.contract.settings import Settings, SettingsError, parse_settings
from hipbmm_kernel.harvest import metrics
from hipbmm_kernel.harvest.background_compaction import BackgroundCompaction
from hipbmm_kernel.harvest.demand_publisher import DemandPublisher
from hipbmm_kernel.harvest.dispatch_files import DispatchFiles
from hipbmm_kernel.harvest.harvester import Harvester, read_json
from hipbmm_kernel.harvest.http import Answer, HttpServer
from hipbmm_kernel.harvest.metrics import COUNTER, GAUGE, Metric, labelled, plain
from hipbmm_kernel.pod import start_mode
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.shown import one_line
from hipbmm_kernel.system.stop import Stop
from hipbmm_kernel.system.volume import Volume

LAST_SECONDS = 10.0
DEMAND_SECONDS = 2.0
STALE_INTERVALS = 5.0
MAX_NUMBER = 2**63
MAX_LABEL = 200
SAID_AGAIN_LINES = 100
"""Lines of the log after which the line about the dispatch is written again: the operator reads the last 128."""
_TEXT = "text/plain; charset=utf-8"


def harvest_command(argv: list[str], env: Mapping[str, str], stderr: TextIO) -> int:
    """`harvest`: runs until SIGTERM, then publishes what is left; 0, or 2 on wrong usage."""
    if argv:
        stderr.write("usage: hipbmm_kernel harvest\n")
        return 2
    try:
        settings = parse_settings(env)
    except SettingsError as error:
        stderr.write(f"hipbmm harvest: {error}\n")
        return 2
    with Stop() as stop:
        Sidecar(settings, Volume(), Clock(), stderr).run(stop)
    return 0


class Sidecar:
    """One thread: turns of the harvester, and requests in between."""

    def __init__(self, settings: Settings, volume: Volume, clock: Clock, stderr: TextIO) -> None:
        self._settings = settings
        self._volume = volume
        self._clock = clock
        self._stderr = stderr
        announce = self._write if settings.mirror_log else None
        self._harvester = Harvester(settings, volume, clock, self._say, announce)
        self._compaction = BackgroundCompaction(
            settings, clock, lambda: self._harvester.queue.published if self._harvester.queue else 0
        )
        self._dispatch_files = DispatchFiles(volume, settings.dispatch_table)
        self._demand = DemandPublisher(settings, volume, clock, self._dispatch_files, self._say, announce)
        self._last_turn: float | None = None
        self._said = ""
        self._lines_since = 0

    def run(self, stop: Stop) -> None:
        """Harvest until a stop is requested. A port that cannot be bound costs the metrics, not the harvest."""
        server = self._listen(stop)
        try:
            while not stop.requested:
                seconds = 0.0 if self._turn() else self._settings.harvest_seconds
                if server is None:
                    stop.wait(seconds)
                else:
                    server.serve(self._clock.monotonic() + seconds)
        finally:
            if server is not None:
                server.close()
        self._compaction.close()
        self._harvester.finish(LAST_SECONDS)
        self._demand.finish(DEMAND_SECONDS)

    def _listen(self, stop: Stop) -> HttpServer | None:
        try:
            server = HttpServer(self._settings.metrics_port, self._clock, self.answer)
        except OSError as error:
            self._say(f"no metrics: port {self._settings.metrics_port}: {error.strerror}")
            return None
        self._say(f"watching {self._settings.served_file}, metrics on port {server.port}")
        server.watch(stop.fileno())
        return server

    def _turn(self) -> bool:
        more = self._harvester.turn()
        self._compaction.turn()
        self._demand.turn()
        self._say_dispatch()
        self._last_turn = self._clock.monotonic()
        return more

    def answer(self, path: str) -> Answer:
        """The answer to a GET: /metrics, /healthz, /readyz."""
        if path == "/metrics":
            return 200, metrics.CONTENT_TYPE, metrics.render(self._metrics())
        if path == "/readyz":
            ready = self._last_turn is not None
            return (200, _TEXT, b"ok\n") if ready else (503, _TEXT, b"the served file was not read yet\n")
        if path == "/healthz":
            return self._health()
        return 404, _TEXT, b"not found\n"

    def _health(self) -> Answer:
        age = self._clock.monotonic() - (self._last_turn or 0.0)
        if self._last_turn is not None and age > STALE_INTERVALS * self._settings.harvest_seconds + LAST_SECONDS:
            return 503, _TEXT, f"the served file was last read {age:.0f} s ago\n".encode("ascii")
        return 200, _TEXT, b"ok\n"

    def _metrics(self) -> list[Metric]:
        report = read_json(self._volume, self._settings.report_file)
        state = read_json(self._volume, self._settings.state_file)
        own = [*_report_metrics(report), *_state_metrics(state), *self._harvest_metrics()]
        return [*own, *self._dispatch_files.metrics()]

    def _harvest_metrics(self) -> list[Metric]:
        harvester = self._harvester
        queue = harvester.queue
        published, failures, last, waiting = (
            (queue.published, queue.failures, queue.last_published, queue.waiting()) if queue else (0, 0, 0.0, 0)
        )
        unplanned = "Rows of problems that the plan does not name; nobody has verified them."
        rejected = "Lines that are no usable row."
        return [
            plain("hipbmm_rows_harvested_total", COUNTER, "Rows the server learned.", harvester.harvested),
            plain("hipbmm_unplanned_rows_total", COUNTER, unplanned, harvester.unplanned),
            labelled("hipbmm_rows_rejected_total", COUNTER, rejected, "reason", harvester.rejected),
            plain("hipbmm_rows_waiting", GAUGE, "Learned rows that are not in the store yet.", waiting),
            plain("hipbmm_shards_published_total", COUNTER, "Shards written to the store.", published),
            plain("hipbmm_shards_failed_total", COUNTER, "Shards that the store refused.", failures),
            plain("hipbmm_last_publish_timestamp_seconds", GAUGE, "When a shard was last written; 0 for never.", last),
        ]

    def _say_dispatch(self) -> None:
        """Write what the server's processes report, when it has changed or the log has grown since."""
        found = self._dispatch_files.reports()
        said = "dispatch {}: {}".format(*found.summary()) if found is not None else ""
        if said != self._said or (said and self._lines_since >= SAID_AGAIN_LINES):
            self._say(said or "dispatch Unasked: this start of the server says nothing of its table")
            self._said, self._lines_since = said, 0

    def _say(self, text: str) -> None:
        self._write(f"hipbmm harvest: {one_line(text)}")

    def _write(self, line: str) -> None:
        self._stderr.write(f"{line}\n")
        self._stderr.flush()
        self._lines_since += 1


def _report_metrics(report: Mapping[str, object]) -> list[Metric]:
    """What `warm` found, as far as it is a number."""
    found = [
        plain("hipbmm_rows_served", GAUGE, "Rows of the table the server was started with.", _number(report, "rows")),
        plain("hipbmm_plan_problems", GAUGE, "Problems of the plan.", _number(report, "problems")),
        plain("hipbmm_plan_tuned", GAUGE, "Problems of the plan that have a row.", _number(report, "tuned")),
    ]
    speedup = report.get("geomean")
    if isinstance(speedup, str) and speedup.isascii() and speedup.replace(".", "", 1).isdigit():
        text = "Geometric mean of default over tuned time."
        found.append(plain("hipbmm_speedup_geomean", GAUGE, text, float(speedup)))
    labels = {name: str(report.get(name) or "")[:MAX_LABEL] for name in ("key", "state", "reason")}
    return [*found, Metric("hipbmm_info", GAUGE, "What warm reported.", ((labels, 1.0),))]


def _state_metrics(state: Mapping[str, object]) -> list[Metric]:
    modes = {mode: float(mode == state.get("mode")) for mode in start_mode.MODES}
    return [
        plain("hipbmm_server_starts_total", COUNTER, "Starts of the server in this pod.", _number(state, "starts")),
        plain("hipbmm_server_crashes_total", COUNTER, "Ends of the server that count.", _number(state, "crashes")),
        labelled("hipbmm_server_mode", GAUGE, "How the server runs.", "mode", modes),
    ]


def _number(document: Mapping[str, object], name: str) -> float:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    return float(value) if abs(value) < MAX_NUMBER else 0.0  # which NaN is not, either
