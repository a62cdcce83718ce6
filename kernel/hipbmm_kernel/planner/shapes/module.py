"""What the forms work with: the model's fields, the parallelism, and the modules that they yield."""

from typing import NamedTuple

from hipbmm_kernel.planner.model_config import MAX_LAYERS, Fields
from hipbmm_kernel.planner.vllm_version import NEWEST, Version

PATCHES = "its M is the number of image patches, which is above 512"
TOWERS = ("vision_tower.", "visual.")
"""How the path of a module outside the decoder begins."""


class Module(NamedTuple):
    """One linear module of one rank.

    `path` is its name inside the decoder (`layers.0.self_attn.qkv_proj`); where they are others in the checkpoint,
    `stored` is its name there and `merged` those of its parts. `unquantised` says why it is never quantised, `untuned`
    why no row of it is ever looked up, and `load_tokens` is an M that only loading the weights uses (0: none).
    """

    path: str
    n: int
    k: int
    bias: bool = False
    merged: tuple[str, ...] = ()
    unquantised: str = ""
    untuned: str = ""
    load_tokens: int = 0
    stored: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of its parts in the checkpoint."""
        return self.merged or (self.path.rpartition(".")[2],)


def short_name(path: str) -> str:
    """The last component of a module's path, with `shared_expert(s).` before it where both exist."""
    *parents, last = path.split(".")
    return f"{parents[-1]}.{last}" if parents and parents[-1].startswith("shared_expert") else last


class Model(NamedTuple):
    """A model's text fields, the whole config around them (the same object when nothing is nested), ranks, vLLM.

    `tensor` ranks share the attention, `tower_ranks` a vision tower. vLLM replicates shared experts with
    sequence-parallel MoE: expert parallelism with tensor and data parallelism above 1.
    """

    fields: Fields
    whole: Fields
    tensor: int
    tower_ranks: int
    replicated_experts: bool
    vllm: Version = NEWEST

    @property
    def hidden(self) -> int:
        """Width of the residual stream."""
        return self.fields.size("hidden_size")

    @property
    def layers(self) -> range:
        """Indices of the decoder layers."""
        return range(self.fields.size("num_hidden_layers", most=MAX_LAYERS))

    def layer_types(self, other: str, interval: int) -> tuple[str, ...]:
        """The type of each layer; where the config names none, each `interval`-th is FULL and the rest `other`."""
        count = len(self.layers)
        types = self.fields.texts("layer_types")
        if types and len(types) < count:
            self.fields.refuse("layer_types", len(types), f"must name all {count} layers")
        return types or tuple(FULL if (layer + 1) % interval == 0 else other for layer in range(count))

    def split(self, field: str, value: int) -> int:
        """One rank's share of `value`; ConfigInvalid when the ranks cannot share it evenly, as vLLM raises too."""
        tensor = self.tensor
        if value % tensor:
            self.fields.refuse(field, value, f"tensor parallel size {tensor} does not divide {value}")
        return value // tensor

    def kv_heads(self, total: int) -> int:
        """Key-value heads of one rank: shared out, or replicated when there are more ranks than heads."""
        tensor = self.tensor
        if total >= tensor:
            return self.split("num_key_value_heads", total)
        if tensor % total:
            self.fields.refuse("num_key_value_heads", total, f"tensor parallel size {tensor} is no multiple of {total}")
        return 1


FULL = "full_attention"
