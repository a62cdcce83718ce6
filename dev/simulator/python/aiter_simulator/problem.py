"""One GEMM as hipBLASLt sees it, and as a row of AITER's CSV names it (the CSV's m is N, its n is M)."""

from dataclasses import dataclass

_TYPE_NAMES = {"float32": "f32_r", "float16": "f16_r", "bfloat16": "bf16_r", "float8_e4m3fnuz": "f8_e4m3_fnuz_r"}


def type_name(dtype: str) -> str:
    """AITER's dataTypeToString for a torch type's name; all but four print as ``<?>``."""
    return _TYPE_NAMES.get(dtype, "<?>")


@dataclass(frozen=True, slots=True)
class Gemm:
    """M tokens, N weight rows, K weight columns.

    ``in_type`` and ``out_type`` are torch names without the ``torch.``.
    """

    M: int
    N: int
    K: int
    in_type: str = "float8_e4m3fnuz"
    out_type: str = "bfloat16"
    preshuffle: bool = True
    rowwise: bool = True
    scaled: bool = True
    bias: bool = False
    trans_a: str = "T"
    trans_b: str = "N"
    lda: int = 0
    ldb: int = 0
    ldc: int = 0

    def key(self) -> tuple[str | int, ...]:
        """The 18 key columns of the CSV in their order; integers are compared as numbers, text byte for byte."""
        a_type = type_name(self.in_type)
        return (
            _boolean(self.preshuffle),
            _boolean(self.rowwise),
            self.trans_a,
            self.trans_b,
            self.N,
            self.M,
            self.K,
            a_type,
            self.lda,
            0,
            a_type,
            self.ldb,
            0,
            type_name(self.out_type),
            self.ldc,
            0,
            "f32_r",
            1,
        )


def _boolean(value: bool) -> str:
    return "true" if value else "false"
