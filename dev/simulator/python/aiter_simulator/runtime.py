"""State of the simulated HIP runtime: the current device of a thread and whether its stream is being captured."""

import threading

from aiter_simulator import gpu, process


class _ThreadState(threading.local):
    device = 0
    captured: list[float] | None = None


_STATE = _ThreadState()


def current_device() -> int:
    """Ordinal among the visible devices."""
    return _STATE.device


def set_device(ordinal: int) -> None:
    """hipSetDevice; RuntimeError for an ordinal that is not visible."""
    if not 0 <= ordinal < len(gpu.visible()):
        raise RuntimeError("HIP error: invalid device ordinal")
    _STATE.device = ordinal


def current_gpu() -> gpu.SimulatedGpu:
    """The current device; without any, a HIP error ends the process as CHECK_HIP_ERROR does."""
    devices = gpu.visible()
    if not devices:
        process.exit_hip("no ROCm-capable device is detected", 100, 1380)
    return devices[_STATE.device]


def capturing() -> bool:
    """Whether the current stream is being captured into a graph."""
    return _STATE.captured is not None


def begin_capture() -> None:
    """Call hipStreamBeginCapture."""
    _STATE.captured = []


def capture(launch_us: float) -> bool:
    """Note a launch of so many microseconds in the graph that is being captured; False when there is none."""
    if _STATE.captured is None:
        return False
    _STATE.captured.append(launch_us)
    return True


def end_capture() -> tuple[float, ...]:
    """Call hipStreamEndCapture: the microseconds of each launch in the graph."""
    captured, _STATE.captured = _STATE.captured or [], None
    return tuple(captured)
