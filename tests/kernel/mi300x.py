"""The stack that tests take for their own, without anything else: programs that tests start import it, too."""

from hipbmm_kernel.identity.stack import Stack

STACK = Stack(
    arch="gfx942",
    features="sramecc+:xnack-",
    compute_units=304,
    product="MI300X",
    partition="SPX",
    memory_partition="NPS1",
    hipblaslt="1.2.2",
    databases=("ab" * 32,),
    aiter="0.1.20",
    fp8="e4m3fnuz",
    rocm="7.2.1",
)
"""A whole MI300X with ROCm 7.2.1."""
