"""torch.cuda as a ROCm build offers it, answered by the simulated devices."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch

from aiter_simulator import clock, gpu, runtime, tuning
from aiter_simulator.memory import MEMORY

_WITHOUT_EFFECT = (
    *("synchronize", "empty_cache", "init", "_lazy_init", "ipc_collect"),
    *("reset_peak_memory_stats", "manual_seed", "manual_seed_all"),
)
_ALWAYS_ZERO = ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved")
_Device: TypeAlias = torch.device | str | int | None


@dataclass(frozen=True, slots=True)
class DeviceProperties:
    """The fields of torch's _CudaDeviceProperties in a ROCm build."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    gcnArchName: str  # noqa: N815 - torch's name
    warp_size: int = 64
    is_integrated: int = 0
    is_multi_gpu_board: int = 0
    pci_bus_id: int = 0
    pci_device_id: int = 0
    pci_domain_id: int = 0
    L2_cache_size: int = 4 << 20


class Event:
    """An event on the simulated clock. Work is synchronous, so a recorded event has always happened."""

    def __init__(self, enable_timing: bool = False, **_options: object) -> None:
        self.timed = enable_timing
        self.at_us: float | None = None

    def record(self, _stream: object = None) -> None:
        """Note the device's time."""
        self.at_us = clock.DEVICE.now_us()

    def elapsed_time(self, end_event: "Event") -> float:
        """Milliseconds between two recorded events."""
        if not (self.timed and end_event.timed):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self.at_us is None or end_event.at_us is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return (end_event.at_us - self.at_us) / 1000

    def synchronize(self) -> None:
        """Nothing is ever pending."""

    def query(self) -> bool:
        """Nothing is ever pending."""
        return True

    def wait(self, _stream: object = None) -> None:
        """Nothing is ever pending."""


class Stream:
    """A stream; all of them run at once, on the calling thread."""

    def __init__(self, device: _Device = None, **_options: object) -> None:
        self.device = torch.device("cuda", _ordinal(device))
        self.cuda_stream = id(self)

    def synchronize(self) -> None:
        """Nothing is ever pending."""

    def wait_stream(self, _stream: object) -> None:
        """Nothing is ever pending."""

    def wait_event(self, _event: object) -> None:
        """Nothing is ever pending."""

    def record_event(self, event: Event | None = None) -> Event:
        """Record ``event`` or a new one."""
        event = event or Event()
        event.record(self)
        return event


class Graph:
    """torch.cuda.CUDAGraph: calls inside a capture see it and take no time, a replay takes the time of all of them.

    The captured calls have computed their results once; a replay leaves them as they are.
    """

    def __init__(self, *_arguments: object, **_options: object) -> None:
        self._launches: tuple[float, ...] = ()

    def capture_begin(self, *_arguments: object, **_options: object) -> None:
        """Begin a capture on the current stream."""
        runtime.begin_capture()

    def capture_end(self) -> None:
        """End it."""
        self._launches = runtime.end_capture()

    def replay(self) -> None:
        """Let the time of all captured launches pass."""
        for launch_us in self._launches:
            tuning.measure(launch_us, 1)

    def reset(self) -> None:
        """Forget what was captured."""
        self._launches = ()

    def pool(self) -> tuple[int, int]:
        """An id of a memory pool."""
        return (0, id(self))


@contextlib.contextmanager
def graph(cuda_graph: Graph, *_arguments: object, **_options: object) -> Iterator[None]:
    """Capture the body."""
    cuda_graph.capture_begin()
    try:
        yield
    finally:
        cuda_graph.capture_end()


@contextlib.contextmanager
def stream(_stream: Stream | None) -> Iterator[None]:
    """Run the body on a stream."""
    yield


@contextlib.contextmanager
def device(chosen: _Device) -> Iterator[None]:
    """Run the body on a device."""
    before = runtime.current_device()
    runtime.set_device(_ordinal(chosen))
    try:
        yield
    finally:
        runtime.set_device(before)


def get_device_properties(chosen: _Device = None) -> DeviceProperties:
    """Properties of one visible device; torch's error for an ordinal that is not."""
    return _properties(_gpu(chosen))


def _properties(found: gpu.SimulatedGpu) -> DeviceProperties:
    return DeviceProperties(
        name=found.name,
        major=9,
        minor=5 if found.arch == "gfx950" else 4,
        total_memory=found.vram,
        multi_processor_count=found.cu,
        gcnArchName=found.gcn_arch_name,
        pci_bus_id=found.bus,
    )


def mem_get_info(chosen: _Device = None) -> tuple[int, int]:
    """Free and total bytes of a device."""
    found = _gpu(chosen)
    return MEMORY.free(found), found.vram


def _gpu(chosen: _Device) -> gpu.SimulatedGpu:
    ordinal = _ordinal(chosen)
    if not 0 <= ordinal < len(gpu.visible()):
        raise AssertionError("Invalid device id")
    return gpu.visible()[ordinal]


def _ordinal(chosen: _Device) -> int:
    if isinstance(chosen, int):
        return chosen
    found = torch.device(chosen).index if chosen is not None else None
    return runtime.current_device() if found is None else found


def _sleep(cycles: int) -> None:
    """A kernel that spins for so many cycles of 2.1 GHz."""
    clock.DEVICE.advance(cycles / 2100)


def _zero() -> Callable[..., int]:
    """A function that answers 0, since CPU tensors do not use device memory."""
    return lambda *_arguments, **_options: 0


def _nothing() -> Callable[..., None]:
    """A function that does nothing, since all work is done when a call returns: torch's tracer wants distinct ones."""
    return lambda *_arguments, **_options: None


def replacements() -> dict[str, Any]:
    """Everything of torch.cuda that is replaced, by name."""
    count = len(gpu.visible())
    default = Stream(0) if count else None
    names: dict[str, Any] = {name: _nothing() for name in _WITHOUT_EFFECT}
    names |= {name: _zero() for name in _ALWAYS_ZERO}
    return names | {
        "is_available": lambda: count > 0,
        "is_initialized": lambda: count > 0,
        "device_count": lambda: count,
        "current_device": runtime.current_device,
        "set_device": lambda chosen: runtime.set_device(_ordinal(chosen)),
        "get_device_properties": get_device_properties,
        "get_device_name": lambda chosen=None: _gpu(chosen).name,
        "get_device_capability": lambda chosen=None: (9, _properties(_gpu(chosen)).minor),
        "get_arch_list": lambda: sorted({found.arch for found in gpu.visible()}),
        "mem_get_info": mem_get_info,
        "Event": Event,
        "Stream": Stream,
        "stream": stream,
        "current_stream": lambda _device=None: default,
        "default_stream": lambda _device=None: default,
        "CUDAGraph": Graph,
        "graph": graph,
        "is_current_stream_capturing": runtime.capturing,
        "device": device,
        "_sleep": _sleep,
        "memory": SimpleNamespace(**{**vars(torch.cuda.memory), "mem_get_info": mem_get_info}),
    }
