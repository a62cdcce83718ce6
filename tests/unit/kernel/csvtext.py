"""Lines of AITER's CSV as its writer makes them, to be damaged by tests."""

from __future__ import annotations

HEADER = (
    "preshuffle, use_rowwise, trans_a, trans_b, m, n, k, A_data_type, lda, stride_a, B_data_type, ldb, stride_b, "
    "C_data_type, ldc, stride_c, compute_type, batch_count, algo_index, kernel_name"
)
FNUZ = "f8_e4m3_fnuz_r"
NAME = "Cijk_Alik_Bljk_F8NBS_BH_Bias_HA_S_SABV_SAV_UserArgs_MT16x16x128_MI16x16x1_SN_WS64_WG16_4_1"


def key(m: int = 1, n: int = 10240, k: int = 5120, fp8: str = FNUZ) -> str:
    return f"true,true,T,N,{n},{m},{k},{fp8},{k},0,{fp8},{k},0,bf16_r,{n},0,f32_r,1"


def row(m: int = 1, n: int = 10240, k: int = 5120, index: object = 777, name: str = NAME, fp8: str = FNUZ) -> str:
    return f"{key(m, n, k, fp8)},{index},{name}"


def file(*lines: str, header: str = HEADER) -> bytes:
    return "".join(f"{line}\n" for line in (header, *lines) if line).encode("utf-8")
