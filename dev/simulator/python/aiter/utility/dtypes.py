"""AITER's names for torch types; ``fp8`` is that of the GPU that is there, whatever ``GPU_ARCHS`` says."""

import torch

from aiter.jit.utils.chip_info import get_gfx_runtime

fp8 = torch.float8_e4m3fn if get_gfx_runtime() == "gfx950" else torch.float8_e4m3fnuz
bf16 = torch.bfloat16
fp16 = torch.float16
fp32 = torch.float32
i8 = torch.int8
i32 = torch.int32
u8 = torch.uint8
