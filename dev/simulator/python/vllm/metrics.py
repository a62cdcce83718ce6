"""The Prometheus metrics of the stand-in.

VLLM's own names for what it really counts, and the lookups of the tuning table.
"""

import threading
from collections import Counter

from aiter_simulator import clock, counters

_BUCKETS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_COUNTERS = {
    "vllm:prompt_tokens_total": "Number of prefill tokens processed.",
    "vllm:generation_tokens_total": "Number of generation tokens processed.",
    "vllm:request_success_total": "Count of successfully processed requests.",
}


class Metrics:
    """Counters of one server process; safe for several threads."""

    def __init__(self, model: str) -> None:
        self._labels = f'{{engine="0",model_name="{model}"}}'
        self._model = model
        self._lock = threading.Condition()
        self._counts: Counter[str] = Counter()
        self._steps: Counter[int] = Counter()
        self._running = 0

    def request_started(self) -> None:
        """A request runs now."""
        with self._lock:
            self._running += 1

    def request_ended(self, prompt_tokens: int, generated_tokens: int, *, success: bool) -> None:
        """A request is over."""
        with self._lock:
            self._running -= 1
            self._counts["vllm:prompt_tokens_total"] += prompt_tokens
            self._counts["vllm:generation_tokens_total"] += generated_tokens
            self._counts["vllm:request_success_total"] += int(success)
            self._lock.notify_all()

    def step(self, tokens: int) -> None:
        """The engine ran one step with so many tokens."""
        with self._lock:
            self._steps[tokens] += 1

    def wait_idle(self) -> None:
        """Return when no request runs."""
        with self._lock:
            self._lock.wait_for(lambda: self._running == 0)

    def text(self) -> str:
        """The page of /metrics in Prometheus' text format."""
        with self._lock:
            lines = [*self._histogram(), *self._gauge("vllm:num_requests_running", self._running)]
            lines += self._gauge("vllm:num_requests_waiting", 0)
            for name, text in _COUNTERS.items():
                lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
                lines.append(f"{name}{self._labels_of(name)} {float(self._counts[name])}")
        lookups = counters.COUNTERS
        lookup = "Lookups of hipb_mm in the tuning table."
        for full, text, value in (
            ("hipbmm_sim_lookup_hits_total", lookup, lookups.hits),
            ("hipbmm_sim_lookup_misses_total", lookup, lookups.misses),
            ("hipbmm_sim_chosen_total", "Calls of hipb_mm with an index of the caller's choice.", lookups.chosen),
        ):
            lines += [f"# HELP {full} {text}", f"# TYPE {full} counter", f"{full} {value}"]
        seconds = clock.DEVICE.now_us() / 1e6
        lines += ["# TYPE hipbmm_sim_device_seconds_total counter", f"hipbmm_sim_device_seconds_total {seconds}"]
        return "\n".join(lines) + "\n"

    def _labels_of(self, name: str) -> str:
        if name == "vllm:request_success_total":
            return f'{{engine="0",finished_reason="length",model_name="{self._model}"}}'
        return self._labels

    def _gauge(self, name: str, value: int) -> list[str]:
        return [f"# TYPE {name} gauge", f"{name}{self._labels} {float(value)}"]

    def _histogram(self) -> list[str]:
        name = "vllm:iteration_tokens_total"
        lines = [f"# HELP {name} Histogram of number of tokens per engine_step.", f"# TYPE {name} histogram"]
        head = self._labels[:-1]
        for bound in _BUCKETS:
            below = sum(count for tokens, count in self._steps.items() if tokens <= bound)
            lines.append(f'{name}_bucket{head},le="{float(bound)}"}} {float(below)}')
        total = sum(self._steps.values())
        lines.append(f'{name}_bucket{head},le="+Inf"}} {float(total)}')
        tokens = sum(size * count for size, count in self._steps.items())
        return [*lines, f"{name}_sum{self._labels} {float(tokens)}", f"{name}_count{self._labels} {float(total)}"]
