"""Which linears reach vLLM's HIPBMM kernel, in the words of that kernel.

There are two gates, one after the other, and they disagree:

* `can_implement` is vLLM's own predicate (`AiterHipbMMPerTokenFp8ScaledMMLinearKernel.can_implement`, vLLM 0.23.0 and
  later). A linear that it refuses is served by the next kernel of vLLM's list and writes no row.
* `shuffle_reason` is the assertion of `aiter.ops.shuffle.shuffle_weight` for FP8 and layout (16, 16), which is stricter
  in K. A linear that passes the first gate and fails here ends vLLM with an AssertionError while it loads weights.
"""

HIPBMM = "AiterHipbMMPerTokenFp8ScaledMMLinearKernel"
"""vLLM's class of the kernel, 0.23.0 to 0.33.0."""

BFLOAT16 = "bfloat16"
"""The only output type of the kernel, as in a config.json's `torch_dtype`."""

TILE = 16
"""N and K must be multiples of it (hipBLASLt's COL16_4R16 layout)."""

SHUFFLE_K = 32
"""K must be a multiple of it in `shuffle_weight` for one-byte elements (AITER, layout (16, 16))."""

NO_SHAPE = "weight_shape is required for Aiter kernels"
WRONG_DTYPE = "requires bfloat16 output dtype."
WRONG_SCALES = "requires per token activation scales and per channel weight scales."


def can_implement(n: int | None, k: int | None, out_dtype: str, per_token: bool, per_channel: bool) -> str | None:
    """Why vLLM's HIPBMM kernel declines a linear of `n` weight rows and `k` weight columns, or None if it takes it.

    `out_dtype` is the name of the output type (`bfloat16`), `per_token` says that activations are quantised with one
    scale per token, `per_channel` that weights have one scale per row. `n` or `k` None means vLLM does not know the
    weight's shape. Messages and their order are those of vLLM 0.23.0.
    """
    if n is None or k is None:
        return NO_SHAPE
    if out_dtype != BFLOAT16:
        return WRONG_DTYPE
    if not (per_token and per_channel):
        return WRONG_SCALES
    if not (n >= TILE and n % TILE == 0 and k % TILE == 0):
        return f"requires N >= 16 and both N and K divisible by 16, received N={n} and K={k}."
    return None


def shuffle_reason(n: int, k: int) -> str | None:
    """Why AITER's `shuffle_weight` asserts on an FP8 weight of `n` rows and `k` columns, or None if it does not."""
    if n % TILE != 0 or k % SHUFFLE_K != 0:
        return f"shuffle_weight requires N divisible by 16 and K divisible by 32, received N={n} and K={k}."
    return None
