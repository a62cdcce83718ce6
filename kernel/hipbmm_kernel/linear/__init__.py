"""The FP8 linear kernel of vLLM's HIPBMM path as a library for plain PyTorch, and the op that the tuner drives.

In: FP8 or float weights, activations. Out: bfloat16 products; `chain.Selection` says which kernel was chosen and why
others refused. `op` registers `torch.ops.hipbmm.hipb_mm_fp8` over AITER; `hipbmm` is vLLM's kernel class with vLLM's
own refusals, `torch_kernels` what serves instead, `module.HipbMMLinear` what a model uses. `eligibility` and `gate` are
the conditions of vLLM and AITER as functions of values: the planner asks the same ones, so plan and layer agree.
Invariants: a weight is shuffled and transposed exactly once; HIP_ONLINE_TUNING is set before hipBLASLt starts; AITER's
extension is created once per device and process; `eligibility` and `gate` import no torch, this file imports nothing.
Any room above may import it; a process of a pod imports torch and AITER in children and in the server only.
"""
