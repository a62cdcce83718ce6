"""What a family's file works with: the model's fields, the parallelism, and the modules it yields."""

from typing import NamedTuple

from hipbmm_kernel.planner.model_config import Fields
from hipbmm_kernel.planner.vllm_version import NEWEST, Version

MAX_LAYERS = 1024
EXPERTS = ("experts", "routed experts run in fused MoE kernels")
TOWER = "vision_tower."
TOWERS = (TOWER, "visual.")
"""How the path of a module outside the decoder begins."""

ROUTER = ("router gate", "built without the quantisation config")


class Module(NamedTuple):
    """One linear module of one rank.

    `path` is its name inside the decoder (`layers.0.self_attn.qkv_proj`), `parts` the names that its last component
    has in the checkpoint. `unquantised` says why it is never quantised, `untuned` why no row of it is ever looked up,
    and `load_tokens` is an M that only loading the weights uses (0: none).
    """

    path: str
    n: int
    k: int
    bias: bool = False
    parts: tuple[str, ...] = ()
    unquantised: str = ""
    untuned: str = ""
    load_tokens: int = 0

    @property
    def name(self) -> str:
        """The module's short name: its last component, with `shared_expert(s).` before it where both exist."""
        *parents, last = self.path.split(".")
        return f"{parents[-1]}.{last}" if parents and parents[-1].startswith("shared_expert") else last


class Parallel(NamedTuple):
    """Tensor-parallel size of the attention, whether shared experts are replicated, and the ranks that share a tower.

    `tower` 0 means as many as share the attention. vLLM replicates shared experts with sequence-parallel MoE: expert
    parallelism with tensor and data parallelism above 1.
    """

    tensor: int = 1
    replicated_experts: bool = False
    tower: int = 0


class Model(NamedTuple):
    """A model's text fields, the whole config around them (the same object when nothing is nested), ranks, vLLM."""

    fields: Fields
    whole: Fields
    parallel: Parallel
    vllm: Version = NEWEST

    @property
    def hidden(self) -> int:
        """Width of the residual stream."""
        return self.fields.size("hidden_size")

    @property
    def layers(self) -> range:
        """Indices of the decoder layers."""
        return range(self.fields.size("num_hidden_layers", MAX_LAYERS))

    def split(self, field: str, value: int) -> int:
        """One rank's share of `value`; ConfigInvalid when the ranks cannot share it evenly, as vLLM raises too."""
        tensor = self.parallel.tensor
        if value % tensor:
            self.fields.refuse(field, value, f"tensor parallel size {tensor} does not divide {value}")
        return value // tensor

    def kv_heads(self, field: str, total: int) -> int:
        """Key-value heads of one rank: shared out, or replicated when there are more ranks than heads."""
        tensor = self.parallel.tensor
        if total >= tensor:
            return self.split(field, total)
        if tensor % total:
            self.fields.refuse(field, total, f"tensor parallel size {tensor} is no multiple of {total}")
        return 1
