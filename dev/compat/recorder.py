"""The truth that the oracle is compared with: vLLM's own process groups, and its kernel's constructor watched."""

from __future__ import annotations

import gc
import importlib
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

from hipbmm_kernel.linear.eligibility import HIPBMM

if TYPE_CHECKING:
    from collections.abc import Callable


def groups(tensor_parallel: int) -> None:
    """Make vLLM's own groups for rank 0 of `tensor_parallel`, over torch's fake backend, which does not communicate."""
    fake = importlib.import_module("torch.testing._internal.distributed.fake_pg")
    distributed: Any = importlib.import_module("torch.distributed")
    state = importlib.import_module("vllm.distributed.parallel_state")
    distributed.init_process_group("fake", rank=0, world_size=tensor_parallel, store=fake.FakeStore())
    own = distributed.new_group
    distributed.new_group = lambda ranks=None, **_: own(ranks, backend="fake")
    coordinator = state.GroupCoordinator
    made = coordinator.__init__

    def without_device(self: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - vLLM's signature
        names = made.__code__.co_varnames[1 : made.__code__.co_argcount]
        options = {**dict(zip(names, arguments, strict=False)), **options}
        options["use_device_communicator"] = False
        if "use_message_queue_broadcaster" in names:
            options["use_message_queue_broadcaster"] = False
        made(self, **options)

    coordinator.__init__ = without_device
    state.init_distributed_environment(tensor_parallel, 0, "env://", 0, "fake")
    state.initialize_model_parallel(tensor_parallel, backend="fake")


def constructions() -> Callable[[], Counter[tuple[int, int]]]:
    """Watch from now on for which layers vLLM makes its HIPBMM kernel; the counter of (N, K) of those still in use.

    Some models build a layer and put another in its place (Aria's dense MLP), so kernels that are gone do not count.
    """
    kind = getattr(importlib.import_module("vllm.model_executor.kernels.linear"), HIPBMM)
    own = kind.__init__
    made: list[tuple[weakref.ref[Any], tuple[int, int]]] = []

    def counting(self: Any, config: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - vLLM's signature
        own(self, config, *arguments, **options)
        n, k = config.weight_shape
        made.append((weakref.ref(self), (int(n), int(k))))

    def counted() -> Counter[tuple[int, int]]:
        gc.collect()
        return Counter(shape for kernel, shape in made if kernel() is not None)

    kind.__init__ = counting
    return counted


def build(config: Any) -> Any:  # noqa: ANN401 - vLLM's VllmConfig, a torch Module
    """The model on the meta device, as vLLM's loaders make it."""
    torch = importlib.import_module("torch")
    loader = importlib.import_module("vllm.model_executor.model_loader.utils")
    before = torch.get_default_dtype()
    torch.set_default_dtype(config.model_config.dtype)
    try:
        with torch.device("meta"):
            return loader.initialize_model(vllm_config=config)
    finally:
        torch.set_default_dtype(before)
