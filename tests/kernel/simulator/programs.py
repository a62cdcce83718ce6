"""What the programs of these tests start with, and how they end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TABLE = "hip_online_tuning_res.csv"

PREAMBLE = """
import os, sys, torch, aiter
from aiter.ops.shuffle import shuffle_weight
torch.set_num_threads(1)
def operands(M, N=256, K=512, rows=None, dtype=None):
    generator = torch.Generator(device="cuda").manual_seed(M * 7 + N * 11 + K)
    dtype = dtype or aiter.dtypes.fp8
    w, ws = aiter.pertoken_quant(torch.randn(N, K, device="cuda", generator=generator), quant_dtype=dtype)
    x, xs = aiter.pertoken_quant(torch.randn(rows or M, K, device="cuda", generator=generator), quant_dtype=dtype)
    return x[:M], xs[:M], w, ws
def mm(x, xs, w, ws, index=-1, swizzled=True, **options):
    b = (shuffle_weight(w, layout=(16, 16)) if swizzled else w).t()
    options.setdefault("out_dtype", torch.bfloat16)
    return aiter.hipb_mm(x, b, index, scaleA=xs, scaleB=ws.t().contiguous(), bpreshuffle=swizzled, **options)
def right(result, x, xs, w, ws, bias=0):
    reference = (x.float() * xs) @ (w.float() * ws).t() + bias
    return torch.allclose(result.float(), reference, atol=0.5, rtol=0.1)
def call(M, N=256, K=512, index=-1):
    given = operands(M, N, K)
    return right(mm(*given, index=index), *given)
"""


@dataclass(frozen=True)
class Done:
    """How a program ended and what it left."""

    code: int | str
    directory: Path

    @property
    def stdout(self) -> str:
        return (self.directory / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.directory / "stderr").read_text()

    @property
    def rows(self) -> list[list[str]]:
        """Rows of the table without its header."""
        table = self.directory / TABLE
        return [line.split(",") for line in table.read_text().splitlines()[1:]] if table.exists() else []


Run = Callable[..., Done]
