"""What one process needs to build a model for rank 0 of many, without its GPUs: one function per need.

Each function names the versions of vLLM in which it was seen to be needed and to work. All of them touch names that
vLLM keeps to itself: where such a name is gone, AttributeError or ImportError leaves the child, and the built-in
planner takes over with a note.
"""

import importlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

META = "meta"
_DEVICES = ("cuda", "hip")


class Group:
    """Rank 0 of a group of `size` processes, as far as building layers asks. It cannot communicate."""

    def __init__(self, name: str, size: int) -> None:
        self.unique_name = name
        self.world_size = size
        self.ranks = list(range(size))
        self.group_ranks = [self.ranks]
        self.rank = self.local_rank = self.rank_in_group = self.device_index = 0
        self.first_rank, self.last_rank = 0, size - 1
        self.is_first_rank, self.is_last_rank = True, size == 1
        self.next_rank, self.prev_rank = 1 % size, (size - 1) % size
        # torch's process group: how large it is, and which rank this is
        self.device_group = self.cpu_group = SimpleNamespace(size=lambda: size, rank=lambda: 0)
        self.device_communicator = self.mq_broadcaster = None
        self.use_device_communicator = self.use_custom_op_call = self.use_cpu_custom_send_recv = False
        self.device = importlib.import_module("torch").device(META)


def groups(parallel: Any) -> None:
    """Process groups: `_TP` and its siblings in vllm.distributed.parallel_state (0.23.0 to 0.33.0).

    0.33 added `_ETP` and `_ENGRAM_DP`, so the names are found by their annotation. Pipeline stages count as one: every
    stage's layers are built, since all stages run in the same pod.
    """
    state = importlib.import_module("vllm.distributed.parallel_state")
    tensor, data = int(parallel.tensor_parallel_size), int(parallel.data_parallel_size)
    context = int(getattr(parallel, "prefill_context_parallel_size", 1))
    experts = tensor * data * context
    sizes = {
        "_TP": tensor,
        "_DP": data,
        "_PCP": context,
        "_DCP": int(getattr(parallel, "decode_context_parallel_size", 1)),
        "_EP": experts,
        "_EPLB": experts,
        "_WORLD": tensor,
    }
    found = [name for name, kind in state.__annotations__.items() if "GroupCoordinator" in str(kind)]
    if "_TP" not in found or "_PP" not in found:
        raise AttributeError("vllm.distributed.parallel_state has no groups under the names that are known")
    for name in found:
        setattr(state, name, Group(name, sizes.get(name, 1)))


def device(config: Any) -> None:
    """The device that layers ask the configuration for: the Transformers backend does (0.23.0 to 0.33.0)."""
    config.device_config.device = importlib.import_module("torch").device(META)


def workspace() -> None:
    """The workspace manager: DeepSeek-V3.2 and GLM-5 ask for it while they are built (0.23.0 to 0.33.0)."""
    module = importlib.import_module("vllm.v1.worker.workspace")
    module.init_workspace_manager(importlib.import_module("torch").device(META))


def inspection() -> None:
    """The model class is inspected here and not in a second process with a second import of vLLM (0.23.0 to 0.33.0).

    vLLM's reason for that process is that inspecting must not start a GPU, which this process never uses anyway.
    """
    registry: Any = importlib.import_module("vllm.model_executor.models.registry")
    registry._run_in_subprocess  # noqa: B018 - AttributeError where the name is gone
    registry._run_in_subprocess = lambda function: function()


def meta_values() -> Any:
    """Values of meta tensors: Apertus, Bloom and Gemma-3n read some of a constant (0.23.0 to 0.33.0).

    A meta tensor has none, so one stands for each: sizes of linears never depend on them.
    """
    tensor = importlib.import_module("torch").Tensor

    def answer(own: Callable[..., Any], value: Callable[[Any], Any]) -> Callable[..., Any]:
        def method(self: Any, *arguments: Any, **options: Any) -> Any:
            return value(self) if self.is_meta else own(self, *arguments, **options)

        return method

    values: dict[str, Callable[[Any], Any]] = {
        "item": lambda _: 1,
        "tolist": lambda self: _ones(list(self.shape)),
        "cpu": lambda self: self,
        "numpy": _array,
        "__bool__": lambda _: True,
    }
    methods: Any = {name: answer(getattr(tensor, name), value) for name, value in values.items()}
    return patch.multiple(tensor, **methods)


def _array(tensor: Any) -> Any:
    numpy = importlib.import_module("numpy")
    return numpy.ones(tuple(tensor.shape) if math.prod(tensor.shape) < 1 << 20 else (1,))


def _ones(shape: list[int]) -> Any:
    return [_ones(shape[1:]) for _ in range(shape[0])] if shape else 1


def device_literals() -> AbstractContextManager[object]:
    """`device="cuda"`, or a GPU's number, in model code: V3.2, GLM-5, Kimi, Qwen3.5 (0.28.0 to 0.33.0): meta.

    So this process never opens the GPU, whose memory the server will want.
    """
    torch = importlib.import_module("torch")
    overrides = importlib.import_module("torch.overrides")

    class Literals(overrides.TorchFunctionMode):  # type: ignore[misc, name-defined] # no torch here
        def __torch_function__(
            self, function: Any, _types: Any, arguments: tuple[Any, ...] = (), options: Any = None
        ) -> Any:
            options = dict(options or {})
            place = options.get("device")
            if _is_gpu(place) or (isinstance(place, int) and not isinstance(place, bool)):
                options["device"] = torch.device(META)
            if function is torch.Tensor.to and any(_is_gpu(value) for value in arguments[1:]):
                arguments = (arguments[0], *(META if _is_gpu(value) else value for value in arguments[1:]))
            return function(*arguments, **options)

    return Literals()


def _is_gpu(value: object) -> bool:
    if isinstance(value, str):
        return value.partition(":")[0] in _DEVICES
    return getattr(value, "type", None) in _DEVICES and type(value).__name__ == "device"


def graph_pool() -> AbstractContextManager[object]:
    """The V2 runner's dispatcher asks the platform for a pool of graphs as it is made (0.23.0 to 0.33.0)."""
    platform = importlib.import_module("vllm.platforms").current_platform
    return patch.object(type(platform), "get_global_graph_pool", lambda *_: (0, 0))
